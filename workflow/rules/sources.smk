# The data that the workflow starts from: the phantom's, a folder's, or those in an S3 bucket.
from time import time

from luna.base.subsets import SUBSETS as ALL_SUBSETS
from luna.config import data as data_config
from luna.data.folds import fold_subsets
from luna.imaging.folders import may_be_of_ct
from luna.phantom.uids import phantom_series_uid
from luna.storage.bucket import SCHEME, Bucket, is_address
from luna.storage.dataset import needs_copies, subset_files
from luna.storage.source import files_digest

DATA = CONFIG.data
PHANTOM = DATA.source == "phantom"
PROPOSE = DATA.candidates == data_config.PROPOSE


def located(path):
    """The file that a job takes for a path of the config: of an object the copy that rule fetch makes.

    To a local file Snakemake adds no module's prefix.
    """
    if is_address(path):
        return layout.FETCHED.format(address=path.removeprefix(SCHEME))
    return local(str(path))


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

try:
    # One listing of the bucket; what is in it need not be asked for again.
    LISTED = Bucket(BASE).listed() if REMOTE else []
    SOURCE_FILES = {} if PHANTOM else subset_files(BASE, LISTED)
except UserError as error:
    raise WorkflowError(str(error))
PHANTOM_FILES = phantom_files() if PHANTOM else {}
SUBSETS = [
    n
    for n in range(ALL_SUBSETS)
    if PHANTOM_FILES.get(n)
    or any(may_be_of_ct(file.name) for file in SOURCE_FILES.get(n, []))
]


def phantom_files_of(wildcards):
    """A subset's files as inputs: only the phantom's, which a rule makes."""
    return PHANTOM_FILES.get(int(wildcards.subset), [])


def state_of_files(wildcards):
    """Changes when a CT of the subset does: as a parameter it makes Snakemake rerun.

    CTs are not inputs: Snakemake would read each of them once more, for a checksum.
    """
    return files_digest(SOURCE_FILES.get(int(wildcards.subset), []))


def object_at(address):
    """What is at an address, None where there is nothing."""
    if REMOTE and address.startswith(f"{BASE}/"):
        return {f"{BASE}/{file.name}": file for file in LISTED}.get(address)
    folder, _, name = address.rpartition("/")
    return Bucket(folder).find(name)


if CONFIG.cache.source == "none" and needs_copies(BASE):
    raise WorkflowError(
        f"cache.source: none reads the CTs in training too, but in {BASE} they are not in plain folders:"
        " set it to cache"
    )


def version_of(wildcards):
    """Changes with the object that rule fetch copies."""
    address = f"{SCHEME}{wildcards.address}"
    if OBJECTS.get(address) is None:
        raise WorkflowError(
            f"{address}: no such object, or the config does not name it"
        )
    return OBJECTS[address].version


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
        f"{key}: {path}: no such {'object' if is_address(path) else 'file'}"
        for key, path in named
        if path and not exists_somewhere(path)
    ]


def exists_somewhere(path):
    """Whether there is a file, or an object."""
    return path in OBJECTS and OBJECTS[path] is not None or Path(path).exists()


def from_the_future():
    """Tables whose time lies ahead: Snakemake stops after the first job that reads one."""
    tables = [Path(path) for paths in TABLES.values() for path in paths]
    return [
        path for path in tables if path.exists() and path.stat().st_mtime > time() + 5
    ]


named_objects = [
    path
    for path in [
        *(recipe.init_weights for recipe in RUNS.values()),
        *(path for paths in TABLES.values() for path in paths),
    ]
    if is_address(path)
]
try:
    OBJECTS = {address: object_at(address) for address in dict.fromkeys(named_objects)}
except UserError as error:
    raise WorkflowError(str(error))
if ahead := from_the_future():
    raise WorkflowError(
        f"{', '.join(map(str, ahead))}: dated in the future;"
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


CACHED = expand(layout.CACHED_SUBSET, subset=SUBSETS)


def download_folder(wildcards):
    """The folder that a download fills."""
    if REMOTE:
        raise WorkflowError(
            f"data.root: {BASE}: a download needs a folder: name one, then copy it to the bucket"
        )
    return BASE
