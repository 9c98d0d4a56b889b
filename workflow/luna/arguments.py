"""What the command lines of training and evaluation share: which data, and on what machine."""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from luna.config import default_section
from luna.crops import CachedCrops, CropSettings, CropSource, DirectCrops
from luna.program import UserError, json_object
from luna.tensorboard import LogNames
from luna.training import Machine


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Where candidates and crops are, how crops are cut, and who trains and is tested."""
    group = parser.add_argument_group("data")
    group.add_argument("--series", type=Path, default=Path("results/series.csv"))
    group.add_argument("--candidates", type=Path, default=Path("results/candidates.csv"))
    group.add_argument("--crops", type=Path, default=Path("results/cache/crops"), help="the crop cache")
    group.add_argument("--cache", type=json_object, default={}, help="the config's `cache`, as JSON")
    group.add_argument("--split", type=json_object, default={}, help="the config's `split`, as JSON")


def add_machine_arguments(parser: argparse.ArgumentParser) -> None:
    """Device, threads and readers; none of them changes a result on one kind of device."""
    group = parser.add_argument_group("machine")
    group.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    group.add_argument("--threads", type=int, default=64, help="at most; never more than the cores")
    group.add_argument("--num-workers", type=int, default=8, help="readers of crops")
    group.add_argument("--loader", choices=["auto", "threads", "workers", "device"], default="auto")


def read_candidates_file(path: Path) -> pd.DataFrame:
    """candidates.csv of the workflow. Raises UserError when it is not there."""
    try:
        return pd.read_csv(path, dtype={"seriesuid": str})
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run the earlier stages of the workflow first") from error


def crop_source(options: argparse.Namespace, candidates: pd.DataFrame) -> CropSource:
    """Where the crops come from: the cache, or with `source: none` the CTs themselves."""
    cache = default_section("cache") | options.cache
    settings = CropSettings.from_config(cache)
    if cache["source"] == "none":
        series = read_candidates_file(options.series)
        return DirectCrops(candidates, series, settings)
    return CachedCrops(candidates, options.crops, settings)


def split_of(options: argparse.Namespace) -> dict[str, Any]:
    """Method and stride of the split."""
    split = default_section("split") | options.split
    return {"method": split["method"], "stride": split["stride"]}


def machine_of(options: argparse.Namespace) -> Machine:
    """The machine the options describe."""
    names = {name: value for name, value in vars(options).items() if name in Machine.__dataclass_fields__}
    if getattr(options, "tensorboard", None) is not None:
        names["log_names"] = LogNames(
            options.tensorboard, options.tb_prefix, options.comment, options.tb_writers
        )
    return Machine(**names)
