"""What all sections of the config share."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic.fields import FieldInfo


def _expanded(path: str) -> str:
    path = os.path.expandvars(path)
    if path.startswith("~"):
        try:
            path = str(Path(path).expanduser())
        except RuntimeError as error:
            raise ValueError(f"names a home folder that is not there ({path})") from error
    # Programs would take it for an option.
    return str(Path(path).absolute()) if path.startswith("-") else path


GivenPath = Annotated[str, AfterValidator(_expanded)]
"""A path of the config: `~` and $VARIABLES are filled in."""

Value = str | int | float | bool | tuple[Any, ...]


class Section(BaseModel):
    """A part of the config: complete, frozen, and closed to keys that it does not define."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, validate_default=True
    )  # fmt: skip


@dataclass(frozen=True)
class ShortOption:
    """A second, shorter name of a key's command-line option, such as `--tb-prefix`."""

    flag: str


def fields_of(section: type[BaseModel], before: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key of a section, those of the sections within it included, as dotted names."""
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            yield from fields_of(inner, f"{before}{name}.")
        else:
            yield f"{before}{name}", field


def values_of(section: Section) -> dict[str, Value]:
    """The values of a section by dotted names."""
    return {name: value_at(section, name) for name, _ in fields_of(type(section))}


def plain_values_of(section: Section) -> dict[str, str | int | float]:
    """The values of a section by dotted names, lists as text with blanks, for tables and logs."""
    return {
        name: " ".join(map(str, value)) if isinstance(value, tuple) else value
        for name, value in values_of(section).items()
    }


def value_at(section: Section, name: str) -> Value:
    """One value of a section by its dotted name."""
    value: Any = section
    for part in name.split("."):
        value = getattr(value, part)
    found: Value = value
    return found


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Values by dotted names as dicts within dicts, the form that a section is validated from."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *folders, last = name.split(".")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
    return tree
