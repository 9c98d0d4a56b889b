"""The config's `sweeps`: one run for each of several values."""

import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError, field_validator

from luna.base.files import Record
from luna.config.section import Section, nested

RunName = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")]
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 60
"""Of a value in a name: a folder is called after it."""


class Sweep(Section):
    """A sweep: the recipe of a run, with every combination of some values. Each becomes an ordinary run,
    called after the sweep and its values, such as `rate_learning_rate-0.003`."""

    run: RunName
    """The run whose recipe they share."""

    values: Annotated[dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]], Field(min_length=1)]
    """Lists of values by the recipe's keys; keys of a section within it with a dot (augmentation.noise)."""

    @field_validator("values")
    @classmethod
    def _keys_of_single_values(cls, values: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        for key, each in values.items():
            if any(isinstance(value, Mapping) for value in each):
                raise ValueError(f"has a section under {key}: name its keys with a dot, such as {key}.noise")
            if within := [other for other in values if other.startswith(f"{key}.")]:
                raise ValueError(f"has {within[0]} within {key}")
        return values


class SweptRun(NamedTuple):
    """A run of a sweep: the sweep's name, and its values by the recipe's keys."""

    sweep: str
    values: dict[str, Any]


class SweepRuns(Record):
    """A sweep as the report shows it: the keys that differ, and the runs."""

    keys: list[str]
    runs: list[str]


def swept_runs(sweeps: Any) -> Iterator[tuple[str, str, SweptRun]]:
    """The runs of sweeps as they are written in a config: (name, run that it is laid over, values).

    What is not written as a sweep is left out: the validation of the config says what is wrong with it.
    """
    for sweep, given in sweeps.items() if isinstance(sweeps, Mapping) else ():
        try:
            checked = Sweep.model_validate(given)
        except ValidationError:
            continue
        values = checked.values
        for combination in product(*values.values()):
            own = dict(zip(map(str, values), combination, strict=True))
            name = "_".join([str(sweep), *(f"{key}-{_as_name(value)}" for key, value in own.items())])
            yield name, checked.run, SweptRun(str(sweep), own)


def laid_over(recipe: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe with some values changed; both as they are written in a config."""
    merged = dict(recipe)
    for key, value in values.items():
        inner = merged.get(key)
        merged[key] = (
            laid_over(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
        )
    return merged


def swept_recipe(recipe: Mapping[str, Any], run: SweptRun) -> dict[str, Any]:
    """The recipe of a run of a sweep, as it would be written in a config."""
    return laid_over(recipe, nested(run.values))


def _as_name(value: Any) -> str:
    text = "x".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return _NOT_IN_NAMES.sub("-", text)[-_LONGEST:] or "empty"
