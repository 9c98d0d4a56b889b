#!/usr/bin/env python
"""Cut the candidates' crops out of the CTs, once, into one cache file a series."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd

from luna.config import default_section
from luna.crops import CropSettings, cache_series_crops
from luna.fileio import write_json
from luna.program import command_line_program
from luna.tables import SUBSETS


def parser() -> argparse.ArgumentParser:
    default = default_section("cache")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--series", type=Path, required=True, help="series.csv of the verification")
    parser.add_argument("--candidates", type=Path, required=True, help="candidates.csv")
    parser.add_argument("--folder", type=Path, required=True, help="where the cache files go")
    parser.add_argument("--subset", type=int, choices=range(SUBSETS), help="only this subset's CTs")
    parser.add_argument("--manifest", type=Path, help="what was made, as JSON")
    parser.add_argument("--crop", type=int, nargs=3, default=default["crop"], help="voxels, irc")
    parser.add_argument("--margin", type=int, nargs=3, default=default["margin"], help="voxels, irc")
    parser.add_argument("--clip", type=int, nargs=2, default=default["clip"], help="HU")
    parser.add_argument("--codec", choices=["lz4", "none"], default=default["codec"])
    return parser


@command_line_program
def main(argv: Sequence[str] | None = None) -> None:
    options = parser().parse_args(argv)
    series = pd.read_csv(options.series, dtype={"seriesuid": str})
    candidates = pd.read_csv(options.candidates, dtype={"seriesuid": str})
    if options.subset is not None:
        series = series[series["subset"] == options.subset]
    manifest = cache_series_crops(series, candidates, options.folder, CropSettings.from_config(vars(options)))
    print(f"{manifest['built']} series cut, {manifest['kept']} kept", file=sys.stderr)
    if options.manifest is not None:
        write_json(options.manifest, manifest["series"])


if __name__ == "__main__":
    main()
