"""The options that name one subset of a data set."""

import argparse
from pathlib import Path

from luna.base.subsets import SUBSETS
from luna.storage.dataset import subset_source
from luna.storage.source import Source


def add_subset_options(parser: argparse.ArgumentParser) -> None:
    """Add --root, --subset and --copies."""
    parser.add_argument("--root", required=True, help="folder or s3:// address with subset0 to subset9")
    parser.add_argument("--subset", type=int, choices=range(SUBSETS), required=True)
    parser.add_argument(
        "--copies", type=Path, default=Path("copies"),
        help="a folder for CTs that cannot be read where they are, emptied before and deleted after",
    )  # fmt: skip


def source_of(options: argparse.Namespace) -> Source:
    """What reads the subset's CTs. Raises UserError where there is no such data set."""
    return subset_source(options.root, options.subset, options.copies)
