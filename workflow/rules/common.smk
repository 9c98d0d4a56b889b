# Shared by all rules. The completed config, the data's files, and the digests of the programs.
import json
from shlex import quote

from luna.config import complete
from luna.program import UserError
from luna.sources import code_digest
from luna.uids import phantom_series_uid

try:
    config = complete(config)
except UserError as error:
    raise WorkflowError(str(error))

# A resource that is not given is unlimited in Snakemake; here it then means one GPU.
GPUS = (
    max(1, workflow.global_resources["gpu"].value)
    if "gpu" in workflow.global_resources
    else 1
)
# With `--sdm conda` the interpreter is the one of the rule's environment.
DEPLOYED = {str(method) for method in workflow.deployment_settings.deployment_method}
PYTHON = "python" if "conda" in DEPLOYED else sys.executable
SCRIPTS = Path(workflow.current_basedir).parent / "scripts"
# Not in params: where project and interpreter lie changes no result, so moving them reruns nothing.
shell.prefix(
    f"set -euo pipefail; PYTHON={quote(PYTHON)}; SCRIPTS={quote(str(SCRIPTS))}; "
)

DATA, RUNS, FOLDS = config["data"], list(config["runs"]), config["folds"]
PHANTOM = DATA["source"] == "phantom"
BASE = "results/phantom" if PHANTOM else DATA["root"]
REMOTE = is_address(BASE)
BASE = BASE.rstrip("/") if REMOTE else str(Path(BASE))
# Of an address, where its local copies are put.
ROOT = Path(located(BASE))
ANNOTATIONS = located(DATA["annotations"] or f"{BASE}/annotations.csv")
CANDIDATES = [
    located(path) for path in DATA["candidates"] or [f"{BASE}/candidates.csv"]
]
EXCLUDED = located(DATA["excluded"])

if PHANTOM:
    UIDS = [
        phantom_series_uid(config["seed"], n)
        for n in range(config["phantom"]["series"])
    ]
    FILES = {
        n: [
            f"{ROOT}/subset{n}/{uid}.{kind}"
            for uid in UIDS[n::10]
            for kind in ("mhd", "raw")
        ]
        for n in range(10)
    }
elif REMOTE:
    FILES = {n: objects_below(f"{BASE}/subset{n}") for n in range(10)}
else:
    FILES = {n: sorted(map(str, ROOT.glob(f"subset{n}/*"))) for n in range(10)}
SUBSETS = [n for n in FILES if FILES[n]]
# A download is asked for where there is no data yet. The targets are known from the command line only;
# a job on a cluster has its target as `download:`.
DOWNLOAD = any(
    word.rstrip(":") in ("download", "results/download.json") for word in sys.argv
)
if not SUBSETS and not DOWNLOAD:
    raise WorkflowError(
        f"data.root: {DATA['root'] or 'is empty'}: no folder subset0 to subset9 with files is there;"
        " `snakemake results/download.json` with the same options downloads LUNA16 to a folder"
    )
if REMOTE and DOWNLOAD:
    raise WorkflowError(
        f"data.root: {BASE}: a download goes into a folder: name one, and copy it to the bucket after"
    )
if REMOTE and config["cache"]["source"] == "none":
    raise WorkflowError(
        f"cache.source: none reads the CTs in training too, and {BASE} is not a folder: use cache"
    )


def code(name):
    """Changes when the code that a program runs does; as a parameter it makes Snakemake rerun."""
    return code_digest(SCRIPTS / f"{name}.py")


def launcher(gpus):
    """What starts a training in as many processes as GPUs share it."""
    if gpus == 1:
        return ""
    return f"-m torch.distributed.run --standalone --nproc-per-node {gpus}"


def as_json(value):
    """A value as JSON that does not depend on the order of its keys."""
    return json.dumps(value, sort_keys=True)


def gpu_share():
    """Threads of a job that computes: the cores, shared out among the GPUs."""
    return max(1, workflow.cores // GPUS)
