# The data that the workflow starts from: the phantom's, a folder's, or those in an S3 bucket.
from time import time

from luna.config import data as data_config
from luna.data.folds import fold_subsets
from luna.data.subsets import SUBSETS as ALL_SUBSETS
from luna.imaging.folders import files_of_ct, files_of_cts
from luna.phantom.uids import phantom_series_uid

DATA = CONFIG.data
PHANTOM = DATA.source == "phantom"
PROPOSE = DATA.candidates == data_config.PROPOSE


def is_address(path):
    """Whether a path of the config is an object's address and not a local path."""
    return str(path).startswith("s3://")


def located(path):
    """What a job takes for a path of the config: an object in storage for an address, else a local file.

    Snakemake fetches what a job needs and deletes its copy when nothing needs it any more. To a local
    file it adds no module's prefix.
    """
    return storage.s3(path) if is_address(path) else local(str(path))


def phantom_files():
    """The phantom's files by subset, known before they are made."""
    numbers = range(CONFIG.phantom.series)
    uids = [phantom_series_uid(CONFIG.seed, number) for number in numbers]
    return {
        n: [
            f"{layout.PHANTOM}/subset{n}/{uid}.{kind}"
            for uid in uids[n::ALL_SUBSETS]
            for kind in ("mhd", "raw")
        ]
        for n in range(ALL_SUBSETS)
    }


def objects_below(address):
    """The objects below an address, sorted. Snakemake's own listing of S3 fails on a prefix."""
    from botocore.exceptions import BotoCoreError, ClientError

    below = storage.s3(address).flags["storage_object"]
    bucket = f"s3://{below.bucket}"
    prefix = f"{address}/".removeprefix(f"{bucket}/")
    try:
        keys = [each.key for each in below.s3bucket().objects.filter(Prefix=prefix)]
    except (BotoCoreError, ClientError) as error:
        raise WorkflowError(
            f"{address}: cannot be listed ({error}); check the address, the endpoint"
            " (AWS_ENDPOINT_URL_S3) and your keys (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
        )
    # Some programs represent an empty folder by an object named like one.
    return [located(f"{bucket}/{key}") for key in sorted(keys) if key[-1] != "/"]


def table(path, usual):
    """A table of the data set: as the config names it or below the root, else the usual one there."""
    if not path or not (
        is_address(path) or Path(path).is_absolute() or Path(path).exists()
    ):
        return f"{BASE}/{path or usual}"
    return path


BASE = layout.PHANTOM if PHANTOM else DATA.root
REMOTE = is_address(BASE)
BASE = BASE.rstrip("/") if REMOTE else str(Path(BASE))
# Of an address, the folder of its local copies.
ROOT = Path(located(BASE))
TABLES = {
    "data.annotations": [table(DATA.annotations, "annotations.csv")],
    "data.candidates": [
        table(path, "candidates.csv")
        for path in ([] if PROPOSE else DATA.candidates or [""])
    ],
    "data.excluded": (
        [table(DATA.excluded, "annotations_excluded.csv")]
        if DATA.excluded or PHANTOM
        else []
    ),
}
with_braces = [
    path
    for path in [BASE, *(each for paths in TABLES.values() for each in paths)]
    if "{" in path
]
if with_braces:
    raise WorkflowError(
        f"{with_braces[0]}: Snakemake takes what stands in braces for a wildcard;"
        " rename the folder, or name a symbolic link to it"
    )
ANNOTATIONS, *CANDIDATES = [
    path if PHANTOM else located(path)
    for path in TABLES["data.annotations"] + TABLES["data.candidates"]
]
EXCLUDED = [path if PHANTOM else located(path) for path in TABLES["data.excluded"]]

if PHANTOM:
    FILES = phantom_files()
elif REMOTE:
    FILES = {n: objects_below(f"{BASE}/subset{n}") for n in range(ALL_SUBSETS)}
else:
    FILES = {
        n: [located(file) for file in files_of_cts(ROOT / f"subset{n}")]
        for n in range(ALL_SUBSETS)
    }
SUBSETS = [n for n in FILES if FILES[n]]
if REMOTE and CONFIG.cache.source == "none":
    raise WorkflowError(
        f"cache.source: none reads the CTs in training too, and {BASE} is not a folder: use cache"
    )


def missing_files():
    """What the config names and is not there, as texts that the target `all` reports as missing.

    Snakemake looks only at the inputs of jobs that run: with a mistyped name, old results would pass
    for those of the new config.
    """
    named = [
        (f"runs.{run}.init_weights", recipe.init_weights)
        for run, recipe in RUNS.items()
        if not (recipe.earlier_run or recipe.starts_from_shipped)
    ]
    if not PHANTOM:
        named += [(key, path) for key in TABLES for path in TABLES[key]]
    return [
        f"{key}: {path}: no such file"
        for key, path in named
        if path and not is_address(path) and not Path(path).exists()
    ]


def from_the_future():
    """The data set's local files whose time lies ahead: Snakemake stops after the first job that reads one."""
    tables = [path for paths in TABLES.values() for path in paths]
    files = [Path(path) for path in [*tables, *(f for n in FILES for f in FILES[n])]]
    return [
        path for path in files if path.exists() and path.stat().st_mtime > time() + 5
    ]


if not REMOTE and (ahead := from_the_future()):
    raise WorkflowError(
        f"{len(ahead)} files of the data set are dated in the future, such as {ahead[0]};"
        " correct the machine's clock, or give them the time of now with `touch`"
    )


def fold_problems():
    """What keeps a fold from being trained with the subsets that there are."""
    problems = []
    for fold in FOLDS if CONFIG.split.method == "subset" else []:
        try:
            fold_subsets(fold, SUBSETS)
        except UserError as error:
            problems.append(str(error))
    return list(dict.fromkeys(problems))


if SUBSETS and (problems := fold_problems()):
    more = (
        f"; the phantom has {CONFIG.phantom.series} series, see phantom.series"
        if PHANTOM
        else ""
    )
    raise WorkflowError("\n".join(problems) + more)
SUBSET_TABLES = expand(layout.SUBSET_TABLE, subset=SUBSETS)
if PROPOSE:
    CANDIDATES = expand(layout.PROPOSALS, subset=SUBSETS)
MISSING_FILES = missing_files()
if not SUBSETS:
    # A download must work without any data, so this is not an error yet. For all else Snakemake
    # reports an input as missing that cannot exist: this text.
    SUBSET_TABLES = [
        f"data.root: {DATA.root or 'is empty'}: no folder subset0 to subset9 with files was found;"
        f" `snakemake {layout.DOWNLOAD}` with the same options downloads LUNA16 to a folder"
    ]
    ANNOTATIONS, CANDIDATES, EXCLUDED, MISSING_FILES = [], [], [], []


# What crops are read from: the cache or the CTs.
CROPS = (
    expand(layout.CACHED_SUBSET, subset=SUBSETS)
    if CONFIG.cache.source == "cache"
    else [file for n in SUBSETS for file in FILES[n]]
)


def download_folder(wildcards):
    """The folder that a download fills."""
    if REMOTE:
        raise WorkflowError(
            f"data.root: {BASE}: a download needs a folder: name one, then copy it to the bucket"
        )
    return ROOT
