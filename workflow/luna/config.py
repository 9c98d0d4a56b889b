"""The config: checked against the schema, completed with its defaults, split into recipes."""

import contextlib
import copy
import difflib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from luna.program import UserError

SCHEMA_FILE = Path(__file__).parents[1] / "schemas" / "config.schema.yaml"
Config = dict[str, Any]
_READERS: dict[str, Callable[[str], Any]] = {
    "integer": int,
    "number": float,
    "boolean": lambda text: {"true": True, "false": False}[text.lower()],
}


@cache
def schema() -> Config:
    """The JSON schema of the config, as read from SCHEMA_FILE."""
    loaded: Config = yaml.safe_load(SCHEMA_FILE.read_text(encoding="utf-8"))
    return loaded


def properties(node: Config) -> Config:
    """Keys a part of the schema allows, with their own schemas; `$ref` followed."""
    found: Config = {}
    if "$ref" in node:
        found.update(properties(schema()["$defs"][node["$ref"].rpartition("/")[2]]))
    found.update(node.get("properties", {}))
    return found


def complete(config: Config) -> Config:
    """A copy of the config with every default filled in and every run a whole recipe.

    Raises UserError that lists every unknown key, wrong type and value out of range at once.
    """
    completed = _from_text(config, schema())
    if problems := list(_problems(completed)):
        raise UserError("the config is not valid (config/README.md describes every key)", problems)
    _fill_defaults(schema(), completed)
    shared = {key: completed["training"][key] for key in recipe_keys()}
    completed["runs"] = {name: _merged(shared, own or {}) for name, own in completed["runs"].items()}
    return completed


def recipe_keys() -> list[str]:
    """Keys of `training` that change a trained model; the others only say how it is run."""
    return list(properties(schema()["$defs"]["recipe"]))


def default_recipe() -> Config:
    """The recipe of a run that sets nothing."""
    return _defaults(schema()["$defs"]["recipe"])


def default_section(name: str) -> Config:
    """Defaults of a top-level section such as `cache` or `evaluation`."""
    return _defaults(schema()["properties"][name])


def complete_recipe(own: Config) -> Config:
    """A recipe from the keys that differ from the defaults. Raises UserError like `complete`."""
    complete({"runs": {"recipe": own}})
    return _merged(default_recipe(), own)


def flat(recipe: Config, before: str = "") -> dict[str, int | float | str]:
    """A recipe's values by dotted keys; lists as text."""
    values: dict[str, int | float | str] = {}
    for key, value in recipe.items():
        if isinstance(value, dict):
            values |= flat(value, f"{before}{key}.")
        else:
            values[f"{before}{key}"] = " ".join(map(str, value)) if isinstance(value, list) else value
    return values


def _defaults(node: Config) -> Config:
    value: Config = {}
    _fill_defaults(node, value)
    return value


def _from_text(value: Any, node: Config) -> Any:
    """A copy with text turned into numbers where the schema wants numbers.

    Snakemake hands over what stands in brackets on the command line as text; YAML takes 1e-3 for text.
    """
    if isinstance(value, dict):
        known: Config = properties(node)
        others: Config = node.get("additionalProperties") or {}
        return {key: _from_text(each, known.get(key, others)) for key, each in value.items()}
    if isinstance(value, list):
        return [_from_text(each, node.get("items", {})) for each in value]
    if isinstance(value, str) and (read := _READERS.get(str(node.get("type")))):
        with contextlib.suppress(ValueError, KeyError):
            return read(value)
    return value


def _fill_defaults(node: Config, value: Config) -> None:
    for key, child in properties(node).items():
        if key not in value and "default" in child:
            value[key] = copy.deepcopy(child["default"])
        if isinstance(value.get(key), dict):
            _fill_defaults(child, value[key])


def _merged(base: Config, own: Config) -> Config:
    merged = copy.deepcopy(base)
    for key, value in own.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def _problems(config: Config) -> Iterator[str]:
    validator = jsonschema.Draft202012Validator(schema())
    for error in sorted(validator.iter_errors(config), key=lambda error: list(map(str, error.path))):
        place = ".".join(map(str, error.absolute_path))
        if error.validator in ("additionalProperties", "unevaluatedProperties"):
            yield from _unknown_keys(place, error)
        elif error.validator == "type" and error.instance is None:
            yield f"{place or 'config'}: has no value; it must be of type {error.validator_value}"
        else:
            yield f"{place or 'config'}: {error.message}{_allowed(error.schema)}"


def _unknown_keys(place: str, error: Any) -> Iterator[str]:
    allowed = list(properties(error.schema))
    for key in error.instance:
        if key not in allowed:
            close = difflib.get_close_matches(str(key), allowed, n=1)
            guess = f", perhaps {close[0]!r}?" if close else ""
            where = f"{place}.{key}" if place else str(key)
            yield f"{where}: unknown key{guess} (allowed here: {', '.join(allowed)})"


def _allowed(node: Config) -> str:
    limits = []
    for word, symbol in (
        ("minimum", "at least"), ("exclusiveMinimum", "more than"),
        ("maximum", "at most"), ("exclusiveMaximum", "less than"),
    ):  # fmt: skip
        if word in node:
            limits.append(f"{symbol} {node[word]}")
    kind = node.get("type")
    return f" (allowed: {kind} {' and '.join(limits)})" if limits else ""
