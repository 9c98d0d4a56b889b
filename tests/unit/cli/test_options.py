"""Options made from the config: they give back the section they were made from."""

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luna.base.errors import UserError
from luna.cli.options import Parser, add_section, option_words, section_of
from luna.config.cache import CacheSettings
from luna.config.data import DataSettings
from luna.config.machine import Logs
from luna.config.recipe import Augmentation, NetworkSettings, Recipe
from luna.config.split import SplitSettings


def parser() -> argparse.ArgumentParser:
    parser = Parser("a program")
    add_section(parser, Recipe)
    add_section(parser, CacheSettings, "cache.")
    add_section(parser, SplitSettings, "split.")
    add_section(parser, Logs)
    return parser


recipes = st.builds(
    Recipe,
    epochs=st.integers(0, 9),
    learning_rate=st.floats(1e-9, 10),
    optimizer=st.sampled_from(["sgd", "adamw"]),
    augmentation=st.builds(Augmentation, flip=st.floats(0, 1), noise=st.floats(0, 100)),
    model=st.builds(NetworkSettings, channels=st.lists(st.integers(1, 99), min_size=1).map(tuple)),
    init_weights=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10),
)


@given(recipes, st.booleans())
def test_options_give_back_the_sections(recipe: Recipe, together: bool) -> None:
    split = SplitSettings(keep_patients_together=together)
    cache = CacheSettings(clip=(-900, 900), source="none")
    words = [*option_words(recipe), *option_words(split, "split."), *option_words(cache, "cache.")]
    options = parser().parse_args(words)
    assert section_of(options, Recipe) == recipe
    assert section_of(options, SplitSettings, "split.") == split
    assert section_of(options, CacheSettings, "cache.") == cache


def test_what_is_the_default_is_not_passed() -> None:
    assert option_words(Recipe()) == option_words(Recipe(momentum=0.99, balance=0)) == []
    assert option_words(Recipe(augmentation=Augmentation(flip=0.5))) == ["--augmentation.flip=0.5"]
    strict = DataSettings(on_problem="skip", expect="luna16")
    assert option_words(strict, only=["on_problem"]) == ["--on-problem=skip"]


def test_short_names() -> None:
    logs = section_of(parser().parse_args(["--tb-prefix=x", "--tb-writers=one", "--comment=-y"]), Logs)
    assert (logs.tensorboard_prefix, logs.tensorboard_writers, logs.comment) == ("x", "one", "-y")


def test_all_mistakes_are_reported_by_their_options() -> None:
    words = ["--batch-size=0", "--augmentation.flip=x", "--select=auk", "--cache.crop", "1", "48", "48"]
    options = parser().parse_args(words)
    with pytest.raises(UserError) as caught:
        section_of(options, Recipe)
    text = str(caught.value)
    for part in ("--batch-size: '0'", "--augmentation.flip: 'x'", "--select: 'auk'", "did you mean 'auc'?"):
        assert part in text
    with pytest.raises(UserError, match=r"--cache\.crop: '1' is not allowed"):
        section_of(options, CacheSettings, "cache.")


def test_help_describes_every_option() -> None:
    text = " ".join(parser().format_help().split())
    assert "Passes over the training samples. Default: 1." in text
    assert "--no-split.keep-patients-together" in text
