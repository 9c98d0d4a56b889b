"""The rooms and floors of the README are those of the code."""

import ast
import re
from pathlib import Path

import pytest

from conftest import PROJECT

PACKAGE = PROJECT / "workflow" / "luna"


def floors() -> list[list[str]]:
    """Modules by floor, lowest first, as README lists them."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    plan = text[text.index("Rooms of `workflow/luna/`") : text.index("## After a crash")]
    return [
        re.split(r"\s{2,}", line.strip())[0].split() for line in plan.splitlines() if line.startswith("    ")
    ]


def imported_modules(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_room_is_on_the_plan() -> None:
    rooms = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")
    assert sorted(room for floor in floors() for room in floor) == rooms


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_nothing_imports_upward(path: Path) -> None:
    floor_of = {room: number for number, floor in enumerate(floors()) for room in floor}
    for name in imported_modules(path):
        room = name.removeprefix("luna.")
        if name.startswith("luna.") and room in floor_of:
            assert floor_of[room] < floor_of[path.stem], f"{path.stem} imports {room}"


def test_the_package_knows_nothing_of_snakemake() -> None:
    for path in [*PACKAGE.glob("*.py"), *(PROJECT / "workflow" / "scripts").glob("*.py")]:
        assert not any(name.startswith("snakemake") for name in imported_modules(path)), path


@pytest.mark.parametrize("name", ["verify_data", "list_candidates", "cache_crops", "make_phantom"])
def test_early_stages_start_without_torch(name: str) -> None:
    """Importing torch costs more than a second, many times over."""
    reached: set[str] = set()
    left = [PROJECT / "workflow" / "scripts" / f"{name}.py"]
    while left:
        names = imported_modules(left.pop())
        assert "torch" not in names
        for found in names - reached:
            path = PACKAGE / f"{found.removeprefix('luna.')}.py"
            if found.startswith("luna.") and path.exists():
                left.append(path)
        reached |= names
