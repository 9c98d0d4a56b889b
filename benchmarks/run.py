"""Measure everything in one run, and write it down with the machine and the command.

make bench
python benchmarks/run.py --ct SCAN.mhd --out docs/benchmarks.md
"""

import argparse
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

import torch

import cache
import data
import drawing
import predicting
import training
from luna.base.files import write_text
from measure import Row, Scan, machine_text, make_scan

Section = Callable[[Scan, bool], Iterator[Row]]
SECTIONS: dict[str, tuple[Section, ...]] = {
    "Verification, tables and scoring": (
        data.verification,
        lambda scan, small: data.tables(scan.folder, small),
        lambda scan, small: data.scoring(small),
    ),
    "Crop cache": (lambda scan, small: cache.building(scan), lambda scan, small: cache.reading(scan)),
    "Loaders": (lambda scan, small: cache.loading(scan),),
    "Phantom": (lambda _, small: drawing.drawing(small),),
    "Findings in a scan": (lambda _, small: predicting.predicting(small),),
    "Training": (
        lambda scan, small: training.steps(small),
        training.epoch,
        lambda _, small: training.gpu(small),
    ),
}


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ct", type=Path, help="a real CT; without it a phantom of life size is made")
    parser.add_argument("--candidates", type=int, default=620, help="in the CT")
    parser.add_argument("--small", action="store_true", help="tiny sizes, only to see that it works")
    parser.add_argument("--only", help="sections whose title holds this word")
    parser.add_argument("--out", type=Path, help="a Markdown page to write")
    return parser


def main() -> None:
    options = parser().parse_args()
    words = [Path(word).name if Path(word).exists() else word for word in sys.argv[1:]]
    command = shlex.join(["python", "benchmarks/run.py", *words])
    lines = [
        "# Benchmarks", "",
        f"`{command}`, {date.today()};"
        f" {machine_text()}, {torch.cuda.get_device_name() if torch.cuda.is_available() else 'no GPU'};"
        f" torch {torch.__version__}. Files are in the page cache; times are the best of several.",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        candidates = 60 if options.small else options.candidates
        scan = make_scan(Path(folder), options.ct, candidates, options.small)
        for title, parts in SECTIONS.items():
            if options.only and options.only.lower() not in title.lower():
                continue
            lines += ["", f"## {title}", "", "| what | measured | against |", "|---|---|---|"]
            print(f"\n{title}")
            for part in parts:
                for row in part(scan, options.small):
                    print(
                        f"  {row.what}: {row.measured}" + (f" ({row.against})" if row.against else ""),
                        flush=True,
                    )
                    lines.append(f"| {row.what} | {row.measured} | {row.against} |")
    if options.out:
        write_text(options.out, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
