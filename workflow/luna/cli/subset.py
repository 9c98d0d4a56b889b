"""The options that name one subset of a data set."""

import argparse
from pathlib import Path

from luna.base.errors import UserError
from luna.data.subsets import SUBSETS


def add_subset_options(parser: argparse.ArgumentParser) -> None:
    """Add --root and --subset."""
    parser.add_argument("--root", type=Path, required=True, help="folder with subset0 to subset9")
    parser.add_argument("--subset", type=int, choices=range(SUBSETS), required=True)


def check_root(options: argparse.Namespace) -> None:
    """Raise UserError where --root is no folder."""
    if not options.root.is_dir():
        raise UserError(f"{options.root}: no such folder; data.root must hold subset0 to subset9")
