"""The config: defaults, recipes, and every mistake named at once."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config

from conftest import PROJECT
from luna.base.errors import UserError
from luna.config.recipe import Recipe
from luna.config.tree import read_config


def test_defaults_are_filled_in() -> None:
    config = read_config({"runs": {"a": None}})
    assert config.cache.crop == (32, 48, 48)
    assert config.runs["a"] == Recipe()
    assert (config.runs["a"].learning_rate, config.runs["a"].momentum) == (0.001, 0.99)


def test_runs_start_from_training() -> None:
    config = read_config(
        {
            "training": {"epochs": 5, "augmentation": {"flip": 0.5}, "num_workers": 2},
            "runs": {"a": {"augmentation": {"noise": 3}}},
        }
    )
    recipe = config.runs["a"]
    assert (recipe.epochs, recipe.augmentation.flip, recipe.augmentation.noise) == (5, 0.5, 3)
    assert not hasattr(recipe, "num_workers"), "what changes no result is not part of a recipe"


def test_the_config_given_is_not_changed() -> None:
    config = {"runs": {"a": {}}}
    read_config(config)
    assert config == {"runs": {"a": {}}}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"runs": {"a": {}}, "sed": 1}, ["sed: unknown key, did you mean 'seed'?"]),
        ({"runs": {"a": {"epohcs": 1}}}, ["runs.a.epohcs: unknown key, did you mean 'epochs'?"]),
        ({"runs": {"a": {"epochs": "two"}}}, ["runs.a.epochs: 'two' is not allowed", "integer from 0"]),
        ({"runs": {"a": {"epochs": -1}}}, ["runs.a.epochs: -1", "integer from 0"]),
        ({"runs": {"a": {"epochs": 1.5}}}, ["runs.a.epochs: 1.5"]),
        ({"runs": {"a": {"momentum": 1}}}, ["runs.a.momentum: 1 ", "number from 0 below 1"]),
        ({"runs": {"a": {"num_workers": 1}}}, ["runs.a.num_workers: unknown key"]),
        ({"runs": {"a": {"augmentation": {"flp": 1}}}}, ["runs.a.augmentation.flp", "'flip'"]),
        ({"runs": {"a": {"select": "acu"}}}, ["runs.a.select: 'acu'", "did you mean 'auc'?", "`f1`"]),
        ({"runs": {}}, ["runs"]),
        ({}, ["runs: this key is missing"]),
        ({"runs": {"a/b": {}}}, ["runs.a/b: 'a/b' is not a name"]),
        ({"runs": {1: {}}}, ["runs.1: YAML reads the name 1 as a number: put it in quotes"]),
        ({"runs": {False: {}}}, ["YAML reads the name False as a truth value: put it in quotes"]),
        ({"runs": {date(2024, 6, 1): {}}}, ["YAML reads the name 2024-06-01 as a date"]),
        ({"runs": {"a": {}}, 3: {}}, ["3: YAML reads the name 3 as a number"]),
        ({"runs": {"a": {}}, "cache": {"clip": [400, -1000]}}, ["cache.clip: [400, -1000] is not a range"]),
        ({"runs": {"a": {}}, "cache": {"clip": [0, 0]}}, ["cache.clip: [0, 0] is not a range"]),
        ({"runs": {"a": {"init_weights": "run:b"}}}, ["runs.a.init_weights: run b is not one of the runs"]),
        (
            {"runs": {"a": {"init_weights": "run:b"}, "b": {"init_weights": "run:a"}}},
            [
                "runs.a.init_weights: run a starts from itself",
                "runs.b.init_weights: run b starts from itself",
            ],
        ),
        ({"runs": {"a": {"crop": [16, 64, 16]}}}, ["runs.a.crop: [16, 64, 16] is larger than cache.crop"]),
        (
            {"runs": {"a": {}}, "sweeps": {"b": {"run": "a", "values": {"crop": [[16, 64, 16]]}}}},
            ["sweeps.b.values.crop: [16, 64, 16] is larger than cache.crop"],
        ),
        (
            {
                "runs": {"a": {"init_weights": "run:x"}},
                "sweeps": {"b": {"run": "a", "values": {"epochs": [1, 2]}}},
            },
            ["runs.a.init_weights: run x is not one of the runs"],
        ),
        ({"runs": {"a": {"crop": [16, 16]}}}, ["runs.a.crop: [16, 16] has not three sizes"]),
        ({"runs": {"a": 3}}, ["runs.a: 3 is not allowed"]),
        ({"runs": {"a": {}}, "cache": {"codec": "zip"}}, ["cache.codec: 'zip'", "`lz4`, `none`"]),
        ({"runs": {"a": {}}, "cache": {"crop": [32, 48]}}, ["cache.crop: [32, 48]", "3 of integer"]),
        ({"runs": {"a": {}}, "folds": [10]}, ["folds.0: 10", "to 9"]),
        ({"runs": {"a": {}}, "folds": [1, 1]}, ["folds: [1, 1] names a fold twice"]),
        ({"runs": {"a": {}}, "data": None}, ["data: has no value"]),
        ({"runs": {"a": {}}, "training": {"device": "tpu"}}, ["training.device: 'tpu'", "`cuda`"]),
        ({"runs": {"a": {"learning_rate": float("nan")}}}, ["runs.a.learning_rate: nan"]),
    ],
)
def test_mistakes_are_named(config: dict, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        read_config(config)
    for word in words:
        assert word in str(caught.value)
    assert len(caught.value.problems) == max(1, sum(word.startswith("runs.") for word in words))


def test_all_mistakes_are_reported_at_once() -> None:
    with pytest.raises(UserError) as caught:
        read_config({"runs": {"a": {"epochs": -1, "momentum": 2}}, "seed": "x", "cache": {"codec": 1}})
    assert len(caught.value.problems) == 4


def test_a_mistake_in_training_is_reported_once_and_not_for_every_run() -> None:
    wrong = {"momentum": 3, "augmentation": {"flip": 2}}
    with pytest.raises(UserError) as caught:
        read_config({"training": wrong, "runs": {"a": {}, "b": {"augmentation": {"noise": -1}}}})
    places = {problem.split(":")[0] for problem in caught.value.problems}
    assert places == {"training.augmentation.flip", "training.momentum", "runs.b.augmentation.noise"}


def test_numbers_on_the_command_line_may_be_text() -> None:
    """As Snakemake reads `--config "folds=[0, 1]" "phantom={series: 20}"`."""
    values = {"folds": ["0", "1"], "phantom": {"series": "20"}, "runs": {"a": {"learning_rate": "1e-3"}}}
    config = read_config(values | {"split": {"keep_patients_together": "true"}})
    assert (config.folds, config.phantom.series) == ((0, 1), 20)
    assert config.split.keep_patients_together is True
    assert config.runs["a"] == Recipe()
    with pytest.raises(UserError, match=r"phantom\.series: 'x'"):
        read_config(values | {"phantom": {"series": "x"}})


@pytest.mark.parametrize("name", ["config.yaml", "luna16.yaml"])
def test_shipped_configs_are_valid(name: str) -> None:
    """luna16.yaml is laid over config.yaml, as Snakemake does."""
    values = yaml.safe_load((PROJECT / "config" / "config.yaml").read_text())
    update_config(values, yaml.safe_load((PROJECT / "config" / name).read_text()))
    config = read_config(values)
    assert config.runs["balanced"].balance == 1
    assert (config.data.expect == "luna16") == (name == "luna16.yaml")


def test_paths_may_hold_the_home_folder_and_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("DATA", "/data")
    monkeypatch.delenv("NONE", raising=False)
    monkeypatch.chdir(tmp_path)
    config = read_config(
        {
            "data": {
                "root": "~/luna", "annotations": "$DATA/a.csv", "candidates": ["${DATA}/c.csv", "$NONE/d"],
                "excluded": "s3://bucket//~/e.csv",
            },
            "runs": {"a": {"init_weights": "~/w.pt"}, "b": {"init_weights": "-w.pt"}},
        }
    )  # fmt: skip
    assert (config.data.root, config.data.annotations) == ("/home/ada/luna", "/data/a.csv")
    assert config.data.candidates == ("/data/c.csv", "$NONE/d")
    assert config.data.excluded == "s3://bucket//~/e.csv"
    assert config.runs["b"].init_weights == f"{tmp_path}/-w.pt", "no program takes it for an option"
    assert config.runs["a"].init_weights == "/home/ada/w.pt"


def test_sweeps_become_runs() -> None:
    """Every combination of the values, over the run's recipe, which is laid over training."""
    config = read_config(
        {
            "training": {"epochs": 3},
            "runs": {"a": {"learning_rate": 0.01, "augmentation": {"flip": 0.5}}},
            "sweeps": {
                "rate": {
                    "run": "a",
                    "values": {"learning_rate": [0.001, "3e-3"], "augmentation.noise": [0, 10]},
                },
                "size": {"run": "a", "values": {"crop": [[16, 24, 24]]}},
            },
        }
    )
    assert list(config.runs) == [
        "a",
        "rate_learning_rate-0.001_augmentation.noise-0", "rate_learning_rate-0.001_augmentation.noise-10",
        "rate_learning_rate-3e-3_augmentation.noise-0", "rate_learning_rate-3e-3_augmentation.noise-10",
        "size_crop-16x24x24",
    ]  # fmt: skip
    recipe = config.runs["rate_learning_rate-3e-3_augmentation.noise-10"]
    assert (recipe.epochs, recipe.learning_rate) == (3, 0.003)
    assert (recipe.augmentation.noise, recipe.augmentation.flip) == (10, 0.5)
    assert config.runs["size_crop-16x24x24"].crop == (16, 24, 24)
    assert config.swept["rate"].keys == ["learning_rate", "augmentation.noise"]
    assert config.swept["rate"].runs == list(config.runs)[1:5]


def test_a_value_more_changes_no_run() -> None:
    def runs(*rates: float) -> dict[str, Recipe]:
        sweeps = {"rate": {"run": "a", "values": {"learning_rate": list(rates)}}}
        return dict(read_config({"runs": {"a": {}}, "sweeps": sweeps}).runs)

    before, after = runs(0.1, 0.2), runs(0.1, 0.15, 0.2)
    assert all(after[name] == recipe for name, recipe in before.items())


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ({"run": "q", "values": {"epochs": [1]}}, ["- sweeps.x.run: q is not one of the runs"]),
        ({"run": "a", "values": {"epohcs": [1, 2]}}, ["- sweeps.x.values.epohcs: unknown key", "'epochs'"]),
        (
            {"run": "a", "values": {"epochs": [-1, 2], "balance": [0, 1]}},
            ["- sweeps.x.values.epochs: -1 is not"],
        ),
        ({"run": "a", "values": {"augmentation.flp": [1]}}, ["- sweeps.x.values.augmentation.flp: unknown"]),
        ({"run": "a", "values": {"epochs": 3}}, ["- sweeps.x.values.epochs: 3", "a list"]),
        ({"run": "a", "values": {"epochs": []}}, ["- sweeps.x.values.epochs: []"]),
        ({"run": "a", "values": {}}, ["- sweeps.x.values: {}"]),
        (
            {"run": "a", "values": {"epochs": [1, 1]}},
            ["- sweeps.x: there are two runs", "x_epochs-1"],
        ),
        ({"run": "a"}, ["- sweeps.x.values: this key is missing"]),
        (3, ["- sweeps.x: 3 is not allowed"]),
        ({"run": ["a"], "values": {"epochs": [1]}}, ["- sweeps.x.run: ['a'] is not allowed"]),
        ({"run": "a", "values": {"augmentation": [{"noise": 1}]}}, ["sweeps.x.values", "with a dot"]),
        (
            {"run": "a", "values": {"epochs": [1], "epochs.b": [2]}},
            ["sweeps.x.values", "epochs.b within"],
        ),
    ],
)
def test_faults_of_sweeps_are_named_where_they_are_written(sweep: Any, words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        read_config({"runs": {"a": {}}, "sweeps": {"x": sweep}})
    assert all(word in str(error.value) for word in words)
    assert str(error.value).count("\n") == 1
