"""The config: defaults, recipes, and every mistake named at once."""

import pytest
import yaml
from snakemake.utils import update_config

from conftest import PROJECT
from luna.config import complete, complete_recipe, default_recipe, properties, schema
from luna.config_page import reference
from luna.program import UserError


def test_defaults_are_filled_in() -> None:
    config = complete({"runs": {"a": None}})
    assert config["cache"]["crop"] == [32, 48, 48]
    assert config["runs"]["a"] == default_recipe()
    assert config["runs"]["a"]["learning_rate"] == 0.001
    assert config["runs"]["a"]["momentum"] == 0.99


def test_runs_start_from_training() -> None:
    config = complete(
        {
            "training": {"epochs": 5, "augmentation": {"flip": 0.5}, "num_workers": 2},
            "runs": {"a": {"augmentation": {"noise": 3}}},
        }
    )
    recipe = config["runs"]["a"]
    assert recipe["epochs"] == 5
    assert recipe["augmentation"]["flip"] == 0.5
    assert recipe["augmentation"]["noise"] == 3
    assert "num_workers" not in recipe, "what changes no result is no part of a recipe"


def test_the_config_given_is_not_changed() -> None:
    config = {"runs": {"a": {}}}
    complete(config)
    assert config == {"runs": {"a": {}}}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"runs": {"a": {}}, "sed": 1}, ["sed: unknown key", "'seed'"]),
        ({"runs": {"a": {"epohcs": 1}}}, ["runs.a.epohcs: unknown key", "epochs"]),
        ({"runs": {"a": {"epochs": "two"}}}, ["runs.a.epochs", "integer"]),
        ({"runs": {"a": {"epochs": -1}}}, ["runs.a.epochs", "at least 0"]),
        ({"runs": {"a": {"momentum": 1}}}, ["runs.a.momentum", "less than 1"]),
        ({"runs": {"a": {"num_workers": 1}}}, ["runs.a.num_workers: unknown key"]),
        ({"runs": {"a": {"augmentation": {"flp": 1}}}}, ["runs.a.augmentation.flp", "'flip'"]),
        ({"runs": {}}, ["runs"]),
        ({}, ["'runs' is a required property"]),
        ({"runs": {"a/b": {}}}, ["a/b"]),
        ({"runs": {"a": {}}, "cache": {"codec": "zip"}}, ["cache.codec", "'lz4', 'none'"]),
        ({"runs": {"a": {}}, "cache": {"crop": [32, 48]}}, ["cache.crop"]),
        ({"runs": {"a": {}}, "folds": [10]}, ["folds.0", "at most 9"]),
        ({"runs": {"a": {}}, "folds": [1, 1]}, ["folds"]),
        ({"runs": {"a": {}}, "data": None}, ["data: has no value"]),
        ({"runs": {"a": {}}, "training": {"device": "tpu"}}, ["training.device", "'cuda'"]),
    ],
)
def test_mistakes_are_named(config: dict, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        complete(config)
    for word in words:
        assert word in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(UserError) as caught:
        complete({"runs": {"a": {"epochs": -1, "momentum": 2}}, "seed": "x", "cache": {"codec": 1}})
    assert len(caught.value.problems) == 4


def test_recipe_on_a_command_line_is_checked_too() -> None:
    assert complete_recipe({"epochs": 3})["epochs"] == 3
    with pytest.raises(UserError, match="optimiser"):
        complete_recipe({"optimiser": "sgd"})


def test_every_key_is_described_and_has_a_default() -> None:
    def walk(node: dict, place: str) -> None:
        for key, child in properties(node).items():
            assert child.get("description"), f"{place}{key} has no description"
            if key != "runs":
                assert "default" in child, f"{place}{key} has no default"
            walk(child, f"{place}{key}.")

    walk(schema(), "")


def test_numbers_on_the_command_line_may_be_text() -> None:
    """As Snakemake reads `--config "folds=[0, 1]" "phantom={series: 20}"`."""
    config = {"folds": ["0", "1"], "phantom": {"series": "20"}, "runs": {"a": {"learning_rate": "1e-3"}}}
    completed = complete(config | {"split": {"keep_patients_together": "true"}})
    assert completed["folds"] == [0, 1]
    assert completed["phantom"]["series"] == 20
    assert completed["split"]["keep_patients_together"] is True
    with pytest.raises(UserError, match=r"phantom\.series: 'x'"):
        complete(config | {"phantom": {"series": "x"}})


def test_the_config_page_tells_what_the_schema_says() -> None:
    page = (PROJECT / "config" / "README.md").read_text(encoding="utf-8")
    assert page == reference(), "run `make docs`"


@pytest.mark.parametrize("name", ["config.yaml", "luna16.yaml"])
def test_shipped_configs_are_valid(name: str) -> None:
    """luna16.yaml is laid over config.yaml, as Snakemake does."""
    config = yaml.safe_load((PROJECT / "config" / "config.yaml").read_text())
    update_config(config, yaml.safe_load((PROJECT / "config" / name).read_text()))
    completed = complete(config)
    assert completed["runs"]["balanced"]["balance"] == 1
    assert (completed["data"]["expect"] == "luna16") == (name == "luna16.yaml")


def test_the_conda_environment_has_the_pinned_versions() -> None:
    files = ("requirements.txt", "requirements-export.txt")
    lines = [line for name in files for line in (PROJECT / "envs" / name).read_text().splitlines()]
    pins = dict(line.lower().split("==") for line in lines if "==" in line)
    wanted = yaml.safe_load((PROJECT / "envs" / "luna.yaml").read_text())["dependencies"]
    pip_names = {"pytorch": "torch", "python-xxhash": "xxhash", "matplotlib-base": "matplotlib"}
    for name, version in (each.split("=") for each in wanted if not each.startswith("python=")):
        assert pins[pip_names.get(name, name)] == version
