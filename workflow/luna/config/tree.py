"""The whole config. Only the rules read it; each program knows just the sections that it uses."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from luna.base.errors import UserError
from luna.config.cache import CacheSettings
from luna.config.data import DataSettings
from luna.config.evaluation import EvaluationSettings
from luna.config.machine import LogSettings, MachineSettings
from luna.config.messages import Place, dotted, explain
from luna.config.phantom import PhantomSettings
from luna.config.recipe import Recipe
from luna.config.report import ReportSettings
from luna.config.section import Section, nested
from luna.config.split import SplitSettings
from luna.config.sweeps import RunName, Sweep, SweepRuns, SweptRun, laid_over, swept_recipe, swept_runs
from luna.config.tracking import TrackingSettings

Fold = Annotated[int, Field(ge=0, le=9)]


class TrainingSettings(Recipe, MachineSettings, LogSettings):
    """What all runs share, as the keys of a recipe (see below), and how a training is run.

    The keys below change no result."""


class Config(Section):
    """Config of the lung-nodule workflow."""

    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """The one seed: phantom, sampling, augmentation, weights and bootstrap derive from it."""

    folds: Annotated[tuple[Fold, ...], Field(min_length=1, json_schema_extra={"uniqueItems": True})] = (0,)
    """Folds to train and test; fold k tests on subset k. All ten make the challenge's protocol."""

    data: DataSettings = DataSettings()
    phantom: PhantomSettings = PhantomSettings()
    split: SplitSettings = SplitSettings()
    cache: CacheSettings = CacheSettings()
    training: TrainingSettings = TrainingSettings()

    runs: Annotated[dict[RunName, Recipe], Field(min_length=1)]
    """The training recipes by name. Each is trained and tested on every fold."""

    sweeps: dict[RunName, Sweep] = {}  # noqa: RUF012 - pydantic copies it
    """Runs that differ in some values, by the name of the sweep; see below."""

    evaluation: EvaluationSettings = EvaluationSettings()
    report: ReportSettings = ReportSettings()
    tracking: TrackingSettings = TrackingSettings()

    @field_validator("folds")
    @classmethod
    def _each_fold_once(cls, folds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(folds)) < len(folds):
            raise ValueError("names a fold twice")
        return folds

    @model_validator(mode="after")
    def _runs_fit(self) -> "Config":
        """Runs that others start from exist and come to an end; crops fit into those of the cache."""
        problems = []
        for name, recipe in self.runs.items():
            before, earlier = [name], recipe.earlier_run
            while earlier is not None and earlier in self.runs and earlier not in before:
                before.append(earlier)
                earlier = self.runs[earlier].earlier_run
            if earlier is not None:
                why = "starts from itself" if earlier in before else "is not one of the runs"
                problems.append(f"{self._place_of(name, 'init_weights')}: run {earlier} {why}")
            if recipe.crop and any(a > b for a, b in zip(recipe.crop, self.cache.crop, strict=True)):
                problems.append(
                    f"{self._place_of(name, 'crop')}: {list(recipe.crop)} is larger than cache.crop"
                )
        if problems:
            raise ValueError("; ".join(dict.fromkeys(problems)))  # a run and its sweeps share problems
        return self

    def _place_of(self, name: str, key: str) -> str:
        """Where a run's key is written: in the run itself, in its sweep, or in the run of its sweep."""
        for swept, base, run in self._swept_runs():
            if swept == name:
                return f"sweeps.{run.sweep}.values.{key}" if key in run.values else f"runs.{base}.{key}"
        return f"runs.{name}.{key}"

    def _swept_runs(self) -> Iterator[tuple[str, str, SweptRun]]:
        return swept_runs({name: each.model_dump() for name, each in self.sweeps.items()})

    @property
    def swept(self) -> dict[str, SweepRuns]:
        """The runs of each sweep."""
        found: dict[str, SweepRuns] = {}
        for name, _, run in self._swept_runs():
            before = found.get(run.sweep, SweepRuns(keys=list(run.values), runs=[]))
            found[run.sweep] = SweepRuns(keys=before.keys, runs=[*before.runs, name])
        return found

    @model_validator(mode="before")
    @classmethod
    def _lay_runs_over_training(cls, values: Any) -> Any:
        """Each run starts from the recipe keys that `training` sets; those of sweeps become runs."""
        if not isinstance(values, Mapping) or not isinstance(values.get("runs"), Mapping):
            return values
        training = values.get("training")
        shared = {
            key: value
            for key, value in (training.items() if isinstance(training, Mapping) else ())
            if key in Recipe.model_fields
        }
        given = dict(values["runs"])
        for name, base, run in swept_runs(values.get("sweeps")):
            if base not in values["runs"]:
                raise ValueError(f"sweeps.{run.sweep}.run: {base} is not one of the runs")
            if name in given:
                raise ValueError(f"sweeps.{run.sweep}: there are two runs with the name {name}")
            own = values["runs"][base]
            if own is None or isinstance(own, Mapping):
                given[name] = swept_recipe(own or {}, run)
        runs = {
            name: laid_over(shared, own or {}) if own is None or isinstance(own, Mapping) else own
            for name, own in given.items()
        }
        return {**values, "runs": runs}


def read_config(values: Mapping[str, Any]) -> Config:
    """The config from the plain values of its files and of Snakemake's command line.

    Numbers may be given as text, as Snakemake's command line does. Raises UserError that lists
    every unknown key and every value that is not allowed.
    """
    try:
        return Config.model_validate(dict(values))
    except ValidationError as error:
        swept: Swept = {name: run for name, _, run in swept_runs(values.get("sweeps"))}
        problems = explain(
            error,
            Config,
            lambda place: _named(place, swept),
            lambda place: _is_inherited(place, values, swept),
        )
        problems = list(dict.fromkeys(problems))  # a value of a sweep is in several runs
        raise UserError("the config is not valid (config/README.md describes every key)", problems) from None


Swept = Mapping[int | str, SweptRun]
"""The runs of sweeps by name."""


def _named(place: Place, swept: Swept) -> str:
    """How a place is called: that of a sweep's run after the sweep, where it is written."""
    if len(place) < 3 or place[0] != "runs" or place[1] not in swept:
        return dotted(place)
    sweep = f"sweeps.{swept[place[1]].sweep}"
    return sweep if place[2] == "[key]" else f"{sweep}.values.{dotted(place[2:])}"


def _is_inherited(place: Place, values: Mapping[str, Any], swept: Swept) -> bool:
    """Whether a problem of a run is not its own: it is reported where it was written."""
    if len(place) < 3 or place[0] != "runs" or place[2] == "[key]":
        return False
    if place[1] in swept:
        own: Any = nested(swept[place[1]].values)
    else:
        own = values["runs"].get(place[1]) or {}
    for key in place[2:]:
        if not isinstance(own, Mapping):
            return False
        if key not in own:
            return True
        own = own[key]
    return False
