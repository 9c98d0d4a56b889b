"""What is wrong with values of the config, in words."""

import difflib
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from luna.config.reference import allowed_values, keys_of, schema_at

CHANGES_NO_RESULT = True
_KINDS: dict[type, str] = {
    int: "a number",
    float: "a number",
    bool: "a truth value",
    date: "a date",
    datetime: "a date",
}
Place = tuple[int | str, ...]


def dotted(place: Place) -> str:
    """A place in the config as it is written on a command line, such as `runs.a.epochs`."""
    return ".".join(str(part) for part in place if part != "[key]")


def explain(
    error: ValidationError,
    section: type[BaseModel],
    name: Callable[[Place], str] = dotted,
    skip: Callable[[Place], bool] = lambda place: False,
) -> list[str]:
    """One line for each problem: the key, its value, what is allowed, and what may have been meant.

    name: how a place is called for the user, a key or an option. skip: places to leave out.
    """
    schema = section.model_json_schema()
    problems = error.errors(include_url=False)
    lines = []
    for problem in problems:
        place: Place = problem["loc"]
        if problem["type"] == "too_short" and any(other["loc"][:-1] == place for other in problems):
            continue  # only because members that are not allowed do not count
        if problem["type"] == "missing" and isinstance(place[-1], int):
            place = place[:-1]  # a list that is too short
        if not place and problem["type"] == "value_error":
            lines += str(problem["ctx"]["error"]).split("; ")  # of the whole, which names its keys itself
        elif not skip(place):
            lines.append(f"{name(place) or 'config'}: {_what_is_wrong(problem, place, schema)}")
    return lines


def _what_is_wrong(problem: Any, place: Place, schema: dict[str, Any]) -> str:
    kind, value = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        return _unknown_key(str(place[-1]), keys_of(schema_at(place[:-1], schema), schema))
    if kind == "missing" and value != [] and not isinstance(value, list | tuple):
        return "this key is missing"
    if kind == "invalid_key" or (place and place[-1] == "[key]" and not isinstance(value, str)):
        return f"YAML reads the name {value} as {_KINDS.get(type(value), 'something else')}: put it in quotes"
    if place and place[-1] == "[key]":
        return f"{value!r} is not a name; allowed: letters, digits, ., _ and -, a letter or digit first"
    if kind == "value_error":
        return f"{value!r} {problem['ctx']['error']}"
    allowed = allowed_values(schema_at(place, schema), schema)
    if value is None:
        return f"has no value; allowed: {allowed}"
    close = difflib.get_close_matches(str(value), allowed.replace("`", "").split(", "), n=1)
    guess = f"; did you mean {close[0]!r}?" if close and kind == "literal_error" else ""
    return f"{_shown(value)} is not allowed{guess} (allowed: {allowed})"


def _unknown_key(key: str, allowed: list[str]) -> str:
    close = difflib.get_close_matches(key, allowed, n=1)
    guess = f", did you mean {close[0]!r}?" if close else ""
    return f"unknown key{guess} (allowed here: {', '.join(allowed)})"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
