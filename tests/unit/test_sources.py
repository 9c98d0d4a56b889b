"""The digest of a program's code follows imports and ignores what does not run."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import PROJECT
from luna import sources

SCRIPTS = PROJECT / "workflow" / "scripts"


def modules_of(script: str) -> set[str]:
    return {path.stem for path in sources.source_files(SCRIPTS / f"{script}.py")}


def test_closure_of_each_program() -> None:
    assert {"crops", "ct", "fileio"} <= modules_of("cache_crops")
    assert "model" not in modules_of("cache_crops")
    assert {"model", "training", "augment"} <= modules_of("train")
    assert not {"froc", "report", "judging"} & modules_of("train")
    assert {"froc", "judging", "model"} <= modules_of("evaluate")
    assert {"report", "plots"} <= modules_of("report")
    assert not {"report", "plots"} & modules_of("evaluate")


NO_TORCH = [
    "make_phantom",
    "verify_data",
    "list_candidates",
    "cache_crops",
    "score_submission",
    "summarise",
    "report",
]


@pytest.mark.parametrize("script", NO_TORCH)
def test_stages_that_do_not_compute_do_not_import_torch(script: str) -> None:
    code = f"import {script}; import sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=SCRIPTS)


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = Path(shutil.copytree(PROJECT / "workflow", tmp_path / "workflow"))
    monkeypatch.setattr(sources, "WORKFLOW", copy)
    return copy


def digest(workflow: Path, script: str = "train") -> str:
    for function in (sources._tree, sources._syntax, sources._imported):
        function.cache_clear()
    return sources.code_digest(workflow / "scripts" / f"{script}.py")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_comments_docstrings_and_layout_do_not_count(workflow: Path) -> None:
    before = digest(workflow)
    model = workflow / "luna" / "model.py"
    edit(model, "class LunaBlock", "# a comment\n\n\nclass LunaBlock")
    edit(
        model,
        '"""Two 3x3x3 convolutions with ReLU, then a pooling that halves every axis."""',
        '"""Other."""',
    )
    edit(model, "nn.MaxPool3d(2)", "nn.MaxPool3d(\n            2\n        )")
    assert digest(workflow) == before


def test_code_counts(workflow: Path) -> None:
    before = digest(workflow)
    edit(workflow / "luna" / "model.py", "nn.MaxPool3d(2)", "nn.AvgPool3d(2)")
    assert digest(workflow) != before


def test_only_programs_that_use_a_module_change(workflow: Path) -> None:
    before = {script: digest(workflow, script) for script in ("train", "evaluate", "report", "cache_crops")}
    edit(workflow / "luna" / "plots.py", "width: float = 5.2", "width: float = 5.3")
    after = {script: digest(workflow, script) for script in before}
    assert [script for script in before if before[script] != after[script]] == ["report"]


def test_new_imports_are_followed(workflow: Path) -> None:
    before = digest(workflow)
    (workflow / "luna" / "extra").mkdir()
    (workflow / "luna" / "extra" / "__init__.py").write_text("from .deep import value\n")
    (workflow / "luna" / "extra" / "deep.py").write_text("value = 1\n")
    edit(workflow / "luna" / "model.py", "import math", "import math\nimport luna.extra")
    first = digest(workflow)
    (workflow / "luna" / "extra" / "deep.py").write_text("value = 2\n")
    assert len({before, first, digest(workflow)}) == 3


@pytest.mark.parametrize(
    ("file", "scripts"),
    [("luna16.json", ["verify_data"]), ("pages_templates/style.css", ["report"])],
)
def test_a_module_s_data_files_are_its_code(workflow: Path, file: str, scripts: list[str]) -> None:
    before = {script: digest(workflow, script) for script in ("train", "evaluate", "report", "verify_data")}
    path = workflow / "luna" / file
    path.write_text(path.read_text() + "\n")
    after = {script: digest(workflow, script) for script in before}
    assert [script for script in before if before[script] != after[script]] == scripts


def test_it_is_fast(workflow: Path) -> None:
    """Printed, not judged: all programs' digests together."""
    start = time.monotonic()
    for script in (workflow / "scripts").glob("*.py"):
        digest(workflow, script.stem)
    print(f"{time.monotonic() - start:.2f} s")
