"""Which code a program consists of, and a digest of it that comments and layout do not change."""

import ast
import hashlib
from functools import cache
from pathlib import Path

WORKFLOW = Path(__file__).parents[1]


def source_files(script: Path) -> list[Path]:
    """The script and every module of `luna` it imports, directly or not, sorted.

    Imports inside functions count as well.
    """
    found: set[Path] = set()
    waiting = [script.resolve()]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imported(path)
    return sorted(found)


def code_digest(script: Path) -> str:
    """16 hex digits of the code a script runs; comments, docstrings and layout do not count.

    A module's data files count as its code: those beside it with its name and another ending, or in
    a folder whose name begins with its own and `_`.
    """
    hasher = hashlib.sha256()
    for path in source_files(script):
        hasher.update(f"{path.relative_to(WORKFLOW)}\n{_syntax(path)}\n".encode())
        for data in _data_files(path):
            hasher.update(f"{data.relative_to(WORKFLOW)}\n".encode() + data.read_bytes())
    return hasher.hexdigest()[:16]


def _data_files(path: Path) -> list[Path]:
    found = [*path.parent.glob(f"{path.stem}.*"), *path.parent.glob(f"{path.stem}_*/*")]
    return sorted(data for data in found if data.is_file() and data.suffix not in (".py", ".pyc"))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def _syntax(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_text(statement)]
    return ast.dump(tree)


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


@cache
def _imported(path: Path) -> list[Path]:
    names: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _package(path, node.level) + (node.module or "") if node.level else node.module or ""
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return [module for name in names if (module := _module_file(name)) is not None]


def _package(path: Path, level: int) -> str:
    """Dotted name, with a dot behind it, of the package a relative import starts from."""
    folders = path.relative_to(WORKFLOW).parts[:-1]
    return "".join(f"{folder}." for folder in folders[: len(folders) - level + 1])


def _module_file(name: str) -> Path | None:
    base = WORKFLOW.joinpath(*name.strip(".").split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if name and path.is_file():
            return path
    return None
