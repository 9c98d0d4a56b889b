"""The digest of a program's code follows imports and ignores what does not run."""

import hashlib
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from conftest import PROJECT
from luna.base import code as sources

SCRIPTS = PROJECT / "workflow" / "scripts"


def modules_of(script: str) -> set[str]:
    files = sources.source_files(SCRIPTS / f"{script}.py")
    return {".".join(path.relative_to(PROJECT / "workflow" / "luna").with_suffix("").parts)
            for path in files if "luna" in path.parts}  # fmt: skip


def test_closure_of_each_program() -> None:
    assert {"crops.cut", "imaging.ct", "base.files"} <= modules_of("cache_subset")
    assert "model.luna" not in modules_of("cache_subset")
    assert {"model.luna", "training.loop", "batches.augment"} <= modules_of("train")
    assert not {"scoring.froc", "report.page", "scoring.assess"} & modules_of("train")
    assert {"scoring.froc", "scoring.assess", "model.luna"} <= modules_of("evaluate")
    assert {"report.page", "report.figures"} <= modules_of("report")
    assert not {"report.page", "report.figures"} & modules_of("evaluate")


def test_a_program_depends_only_on_the_sections_of_the_config_that_it_uses() -> None:
    sections = {"data", "phantom", "split", "cache", "machine", "recipe", "evaluation", "report", "tree"}

    def used(script: str) -> set[str]:
        modules = {module.split(".")[1] for module in modules_of(script) if module.startswith("config.")}
        return modules & sections

    assert used("verify_subset") == set()
    assert used("verify") == {"data"}
    assert used("candidates") == {"split"}
    assert used("cache_subset") == {"cache"}
    assert used("train") == {"cache", "split", "machine", "recipe"}


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = Path(shutil.copytree(PROJECT / "workflow", tmp_path / "workflow"))
    monkeypatch.setattr(sources, "WORKFLOW", copy)
    return copy


def digest(workflow: Path, script: str = "train") -> str:
    for function in (
        sources._tree,
        sources._nodes,
        sources._syntax,
        sources._imported,
        sources._strings,
        sources._changes_no_result,
        sources._data_files,
        sources._module_files,
    ):
        function.cache_clear()
    return sources.code_digest(workflow / "scripts" / f"{script}.py")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_comments_docstrings_and_layout_do_not_count(workflow: Path) -> None:
    before = digest(workflow)
    model = workflow / "luna" / "model" / "luna.py"
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
    edit(workflow / "luna" / "model" / "luna.py", "nn.MaxPool3d(2)", "nn.AvgPool3d(2)")
    assert digest(workflow) != before


def test_only_programs_that_use_a_module_change(workflow: Path) -> None:
    before = {script: digest(workflow, script) for script in ("train", "evaluate", "report", "cache_subset")}
    edit(workflow / "luna" / "report" / "figures.py", "_WIDE = 8", "_WIDE = 9")
    after = {script: digest(workflow, script) for script in before}
    assert [script for script in before if before[script] != after[script]] == ["report"]


def test_new_imports_are_followed(workflow: Path) -> None:
    before = digest(workflow)
    (workflow / "luna" / "extra").mkdir()
    (workflow / "luna" / "extra" / "__init__.py").write_text("from .deep import value\n")
    (workflow / "luna" / "extra" / "deep.py").write_text("value = 1\n")
    edit(workflow / "luna" / "model" / "luna.py", "import math", "import math\nimport luna.extra")
    first = digest(workflow)
    (workflow / "luna" / "extra" / "deep.py").write_text("value = 2\n")
    assert len({before, first, digest(workflow)}) == 3


@pytest.mark.parametrize(
    ("file", "scripts"),
    [("data/luna16.json", ["verify"]), ("pages/templates/style.css", ["report"])],
)
def test_a_module_s_data_files_are_its_code(workflow: Path, file: str, scripts: list[str]) -> None:
    before = {script: digest(workflow, script) for script in ("train", "evaluate", "report", "verify")}
    path = workflow / "luna" / file
    path.write_text(path.read_text() + "\n")
    after = {script: digest(workflow, script) for script in before}
    assert [script for script in before if before[script] != after[script]] == scripts


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("config/messages.py", "unknown key", "key that is not known"),
        ("config/report.py", "crops: Annotated", "colours: int = 2\n    crops: Annotated"),
        ("pages/png.py", "optimize=True", "optimize=False"),
        ("pages/templates/style.css", "border-radius: 8px", "border-radius: 9px"),
        ("imaging/planes.py", "_GAP_GREY = 2, 128", "_GAP_GREY = 3, 128"),
        ("training/tensorboard.py", "bins = np.linspace(0, 1, 51)", "bins = np.linspace(0, 1, 41)"),
        ("base/progress.py", "%s: %d of %d, done at", "%s: %d of %d, ready at"),
    ],
)
def test_texts_report_and_pictures_retrain_nothing(workflow: Path, file: str, old: str, new: str) -> None:
    before = digest(workflow)
    edit(workflow / "luna" / file, old, new)
    assert digest(workflow) == before


KNOWN_CODE = '''
"""A docstring."""
import os as system

async def text(value: "int" = 1, *rest, key=..., **others) -> str:
    "Another docstring."
    with open("x") as file, open("y"):
        return f"{value!r:>{10}} a" "b" + (lambda: -1j)().real.hex() + str(b"c"[1:2])

class Thing(object):
    number: int = 1_000
    match = [each for each in (1, 2.5, None, True) if not each > 1]
'''
KNOWN_DIGEST = "ee4378cb1ab65a13"


def test_the_digest_is_the_same_in_every_version_of_python() -> None:
    """Computed by all versions that are installed, over this project's own code."""
    code = (
        "import hashlib, importlib.util, pathlib, sys\n"
        "spec = importlib.util.spec_from_file_location('code', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "paths = sorted(pathlib.Path(sys.argv[2]).rglob('*.py'))\n"
        "texts = [module.syntax_text(path.read_text()) for path in paths]\n"
        "print(hashlib.sha256(''.join(texts).encode()).hexdigest())\n"
    )
    arguments = ["-c", code, sources.__file__, str(PROJECT / "workflow")]
    digests = set()
    for version in ("3.11", "3.12", "3.13", "3.14"):
        python = shutil.which(f"python{version}")
        done = python and subprocess.run([python, *arguments], capture_output=True, text=True, check=False)
        if done and done.returncode == 0:
            digests.add(done.stdout)
    assert len(digests) == 1


def test_the_digest_of_known_code_is_known() -> None:
    """Fails where a version of Python builds another tree, even if it is the only one installed."""
    text = sources.syntax_text(KNOWN_CODE)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == KNOWN_DIGEST


def test_all_digests_together_are_quick(workflow: Path) -> None:
    """Printed, not checked against a limit."""
    start = time.monotonic()
    for script in (workflow / "scripts").glob("*.py"):
        digest(workflow, script.stem)
    print(f"{time.monotonic() - start:.2f} s")
