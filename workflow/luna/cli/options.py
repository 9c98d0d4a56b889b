"""Command-line options made from the sections of the config, and sections made from options."""

import argparse
from collections.abc import Callable, Collection
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from luna.base.errors import UserError
from luna.config.messages import Place, dotted, explain
from luna.config.section import Section, ShortOption, fields_of, nested, value_at

AnySection = TypeVar("AnySection", bound=Section)


class Parser(argparse.ArgumentParser):
    """An argument parser that shows the program's docstring as it is written."""

    def __init__(self, description: str | None) -> None:
        super().__init__(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
        )


def at_least(least: int) -> Callable[[str], int]:
    """The type of an option that is a whole number, not below `least`."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is below {least}")
        return value

    return number


def share(text: str) -> float:
    """The type of an option that is a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{value:g} is not between 0 and 1")
    return value


def add_section(
    parser: argparse.ArgumentParser,
    section: type[Section],
    prefix: str = "",
    only: Collection[str] = (),
) -> None:
    """Add an option for every key of a section, such as `--batch-size` or `--augmentation.flip`.

    prefix: put before each name, such as `cache.`. only: the keys to take; all without it.
    """
    group = parser.add_argument_group((section.__doc__ or section.__name__).split(".")[0].lower())
    for name, field in _chosen(section, only):
        short = [each.flag for each in field.metadata if isinstance(each, ShortOption)]
        group.add_argument(
            _flag(prefix + name), *short, dest=prefix + name, default=argparse.SUPPRESS, help=_help(field),
            **_shape(field.annotation),
        )  # fmt: skip


def section_of(
    options: argparse.Namespace, section: type[AnySection], prefix: str = "", only: Collection[str] = ()
) -> AnySection:
    """The section that the options describe. Raises UserError that lists every value not allowed."""
    given = vars(options)
    values = {name: given[prefix + name] for name, _ in _chosen(section, only) if prefix + name in given}
    try:
        return section.model_validate(nested(values))
    except ValidationError as error:
        problems = explain(error, section, lambda place: _flag_at(place, prefix))
        raise UserError("the options are not valid (--help describes them)", problems) from None


def option_words(section: Section, prefix: str = "", only: Collection[str] = ()) -> list[str]:
    """The command-line words that describe this section: an option for each value that is not the default."""
    default = type(section)()
    words: list[str] = []
    for name, _ in _chosen(type(section), only):
        value, flag = value_at(section, name), _flag(prefix + name)
        if value == value_at(default, name):
            continue
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag.removeprefix('--')}")
        elif isinstance(value, tuple):
            words += [flag, *map(str, value)]
        else:
            words.append(f"{flag}={value}")
    return words


def _chosen(section: type[BaseModel], only: Collection[str]) -> list[tuple[str, FieldInfo]]:
    return [(name, field) for name, field in fields_of(section) if not only or name in only]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _flag_at(place: Place, prefix: str) -> str:
    return _flag(prefix + dotted(tuple(part for part in place if isinstance(part, str))))


def _help(field: FieldInfo) -> str:
    default = field.default
    shown = " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
    text = " ".join((field.description or "").split()).replace("`", "").replace("%", "%%")
    return f"{text} Default: {shown.replace('%', '%%')}." if shown else text


def _shape(kind: Any) -> dict[str, Any]:
    """How many words an option takes, and how they are shown."""
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        return {"nargs": "*" if Ellipsis in parts else len(parts), "metavar": "VALUE"}
    if get_origin(kind) is Literal:
        return {"metavar": "{" + ",".join(map(str, get_args(kind))) + "}"}
    return {"metavar": getattr(kind, "__name__", "VALUE").upper()}
