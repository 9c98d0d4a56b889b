# The data that the workflow starts from: the phantom's, a folder's, or those in an S3 bucket.
from luna.config.data import DataSettings
from luna.data.subsets import SUBSETS as ALL_SUBSETS
from luna.phantom.uids import phantom_series_uid

DATA = CONFIG.data
PHANTOM = DATA.source == "phantom"


def is_address(path):
    """Whether a path of the config is an object's address and not a local path."""
    return path.startswith("s3://")


def located(path):
    """What a job takes for a path: an object in storage for an address, else the path itself.

    Snakemake fetches what a job needs and deletes its copy when nothing needs it any more.
    """
    return storage.s3(path) if is_address(path) else path


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


def files_below(folder):
    """All files of a folder, those of DICOM series too, sorted; not those whose names start with a dot."""
    return sorted(
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )


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


BASE = layout.PHANTOM if PHANTOM else DATA.root
REMOTE = is_address(BASE)
BASE = BASE.rstrip("/") if REMOTE else str(Path(BASE))
# Of an address, the folder of its local copies.
ROOT = Path(located(BASE))
ANNOTATIONS = located(DATA.annotations or f"{BASE}/annotations.csv")
CANDIDATES = [located(path) for path in DATA.candidates or [f"{BASE}/candidates.csv"]]
TRUTH = [ANNOTATIONS, located(DATA.excluded)] if DATA.excluded else [ANNOTATIONS]

if PHANTOM:
    FILES = phantom_files()
elif REMOTE:
    FILES = {n: objects_below(f"{BASE}/subset{n}") for n in range(ALL_SUBSETS)}
else:
    FILES = {n: files_below(ROOT / f"subset{n}") for n in range(ALL_SUBSETS)}
SUBSETS = [n for n in FILES if FILES[n]]
if REMOTE and CONFIG.cache.source == "none":
    raise WorkflowError(
        f"cache.source: none reads the CTs in training too, and {BASE} is not a folder: use cache"
    )


def files_of_ct(path):
    """The files of a CT outside the data set: itself, and the voxels beside an .mhd."""
    if not path:
        return []
    voxels = [Path(path).with_suffix(kind) for kind in (".raw", ".zraw")]
    return [path, *(str(each) for each in voxels if each.exists())]


def missing_files():
    """What the config names and is not there, as texts that the target `all` reports as missing.

    Snakemake looks only at the inputs of jobs that run: with a mistyped name, old results would pass
    for those of the new config.
    """
    named = [("phantom.background", CONFIG.phantom.background)] if PHANTOM else []
    named += [(f"runs.{run}.init_weights", RUNS[run].init_weights) for run in RUNS]
    named += [("data.excluded", DATA.excluded)]
    if not PHANTOM:
        named += [("data.annotations", DATA.annotations or f"{BASE}/annotations.csv")]
        tables = DATA.candidates or [f"{BASE}/candidates.csv"]
        named += [("data.candidates", path) for path in tables]
    return [
        f"{key}: {path}: no such file"
        for key, path in named
        if path and not is_address(path) and not Path(path).exists()
    ]


SUBSET_TABLES = expand(layout.SUBSET_TABLE, subset=SUBSETS)
MISSING_FILES = missing_files()
if not SUBSETS:
    # A download must work without any data, so this is not an error yet. For all else Snakemake
    # reports an input as missing that cannot exist: this text.
    SUBSET_TABLES = [
        f"data.root: {DATA.root or 'is empty'}: no folder subset0 to subset9 with files was found;"
        f" `snakemake {layout.DOWNLOAD}` with the same options downloads LUNA16 to a folder"
    ]
    ANNOTATIONS, CANDIDATES, TRUTH, MISSING_FILES = [], [], [], []


def download_folder(wildcards):
    """The folder that a download fills."""
    if REMOTE:
        raise WorkflowError(
            f"data.root: {BASE}: a download needs a folder: name one, then copy it to the bucket"
        )
    return ROOT
