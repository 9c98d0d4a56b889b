"""The crop cache: exact to the bit, and it notices what is not right."""

from pathlib import Path

from luna.config.phantom import PhantomSettings
from luna.phantom.dataset import make_phantom


def test_phantom_is_the_same_every_time(tmp_path: Path) -> None:
    settings = PhantomSettings(series=3, size=64, slices=16, candidates=10)
    make_phantom(tmp_path / "a", settings, seed=0)
    make_phantom(tmp_path / "b", settings, seed=0, processes=2)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 8
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
