"""Which code a program consists of, and a digest of it that only changes in the code itself change."""

import ast
import hashlib
from functools import cache
from pathlib import Path

WORKFLOW = Path(__file__).resolve().parents[2]

NO_RESULT = "CHANGES_NO_RESULT"
"""A module that assigns this name, such as one of error messages, is left out of every digest."""


def source_files(script: Path) -> list[Path]:
    """The script and every module of `luna` it imports, directly or not, sorted.

    Imports inside functions count. Modules that assign NO_RESULT do not.
    """
    found: set[Path] = set()
    waiting = [script.resolve()]
    while waiting:
        path = waiting.pop()
        if path not in found and not _changes_no_result(path):
            found.add(path)
            waiting += _imported(path)
    return sorted(found)


def code_digest(script: Path) -> str:
    """16 hex digits of the code a script runs.

    Comments, docstrings, layout and the version of Python do not count. A file that is not Python
    counts as code of the modules of its package that name it, or the folder that it is in, in a string.
    """
    hasher = hashlib.sha256()
    for path in source_files(script):
        hasher.update(f"{path.relative_to(WORKFLOW)}\n{_syntax(path)}\n".encode())
        for data in _data_files(path):
            hasher.update(f"{data.relative_to(WORKFLOW)}\n".encode() + data.read_bytes())
    return hasher.hexdigest()[:16]


def syntax_text(source: str) -> str:
    """The syntax tree of some code as text, without docstrings; the same in every version of Python.

    Versions differ in fields that are empty, and in how the text within an f-string is split.
    """
    return _text_of(ast.parse(source))


def _text_of(tree: ast.Module) -> str:
    parts: list[str] = []
    _append(parts, tree)
    return "".join(parts)


def _append(parts: list[str], node: object) -> None:
    if isinstance(node, ast.AST):
        parts.append(f"{type(node).__name__}(")
        for name, value in ast.iter_fields(node):
            if name == "body" and isinstance(value, list):
                value = [statement for statement in value if not _is_text(statement)]
            if name == "values" and isinstance(node, ast.JoinedStr):
                value = _joined(node.values)
            if value is not None and value != []:
                parts.append(f"{name}=")
                _append(parts, value)
        parts.append(")")
    elif isinstance(node, list):
        parts.append("[")
        for each in node:
            _append(parts, each)
        parts.append("]")
    else:
        parts.append(f"{node!r},")


def _joined(parts: list[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string, with neighbouring texts as one."""
    joined: list[ast.expr] = []
    for part in parts:
        if isinstance(part, ast.Constant) and joined and isinstance(before := joined[-1], ast.Constant):
            joined[-1] = ast.Constant(str(before.value) + str(part.value))
        else:
            joined.append(part)
    return [part for part in joined if not (isinstance(part, ast.Constant) and part.value == "")]


def _is_text(statement: object) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


@cache
def _data_files(path: Path) -> list[Path]:
    """Files that are not Python beside a module or in a folder beside it, if the module names them."""
    named = _strings(path)
    beside = [each for each in path.parent.iterdir() if each.name in named]
    files = [file for each in beside for file in (each.rglob("*") if each.is_dir() else [each])]
    return sorted(file for file in files if file.is_file() and file.suffix not in (".py", ".pyc"))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def _nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(_tree(path)))


@cache
def _syntax(path: Path) -> str:
    return _text_of(_tree(path))


@cache
def _strings(path: Path) -> set[str]:
    constants = (node.value for node in _nodes(path) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str)}


@cache
def _changes_no_result(path: Path) -> bool:
    targets = (target for node in _tree(path).body if isinstance(node, ast.Assign) for target in node.targets)
    return any(isinstance(target, ast.Name) and target.id == NO_RESULT for target in targets)


@cache
def _imported(path: Path) -> list[Path]:
    names: set[str] = set()
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _package(path, node.level) + (node.module or "") if node.level else node.module or ""
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return [file for name in names for file in _module_files(WORKFLOW, name)]


def _package(path: Path, level: int) -> str:
    """Dotted name, ending in a dot, of the package that a relative import starts from."""
    folders = path.relative_to(WORKFLOW).parts[:-1]
    return "".join(f"{folder}." for folder in folders[: len(folders) - level + 1])


@cache
def _module_files(root: Path, name: str) -> list[Path]:
    """The module's file and the `__init__.py` of the packages that its import runs."""
    parts = name.strip(".").split(".") if name.strip(".") else []
    base = root.joinpath(*parts)
    module = base.with_suffix(".py") if parts else base
    packages = [root.joinpath(*parts[:count]) / "__init__.py" for count in range(1, len(parts) + 1)]
    return [file for file in [module, *packages] if file.is_file()]
