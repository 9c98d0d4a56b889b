import json
import os

from luna.model.shipped import shipped_model, shipped_models, shipped_sieve

# What to train: the runs, their folds, and the GPUs and threads that a job gets.
RUNS, FOLDS = CONFIG.runs, CONFIG.folds
# A resource that is not given is unlimited in Snakemake; here it then means one GPU.
GPUS = (
    max(1, workflow.global_resources["gpu"].value)
    if "gpu" in workflow.global_resources
    else 1
)

too_wide = [run for run in RUNS if RUNS[run].gpus > GPUS]
if too_wide and "gpu" in workflow.global_resources:
    raise WorkflowError(
        f"{', '.join(f'runs.{run}.gpus is {RUNS[run].gpus}' for run in too_wide)}, but Snakemake may"
        f" use {GPUS}: lower it, or start with --resources gpu={max(RUNS[run].gpus for run in too_wide)}"
    )


def seen_from_here(path):
    """A file of the clone as seen from the working folder, so that moving both reruns nothing."""
    return os.path.relpath(path)


def recipe_of(wildcards):
    """The recipe of the run that a target names."""
    if wildcards.run not in RUNS:
        raise WorkflowError(
            f"no run is called {wildcards.run!r}; the config has {', '.join(RUNS)}"
        )
    return RUNS[wildcards.run]


def initial_weights(wildcards):
    """The file of weights that a training starts from, if there is one."""
    recipe = recipe_of(wildcards)
    if recipe.earlier_run:
        return layout.MODEL.format(run=recipe.earlier_run, fold=wildcards.fold)
    if recipe.starts_from_shipped:
        return seen_from_here(shipped_model(int(wildcards.fold)))
    return located(recipe.init_weights) if recipe.init_weights else []


def launcher(gpus):
    """What starts a training in as many processes as GPUs share it."""
    if gpus == 1:
        return ""
    return f"-m torch.distributed.run --standalone --nproc-per-node {gpus}"


def gpu_share():
    """Threads of a job that computes: the cores, shared out among the GPUs."""
    return max(1, workflow.cores // GPUS)


def tracking_attempt(wildcards):
    """Another value each time while a run could not be sent: so Snakemake tries again, until it was.

    Snakemake compares only parameters that do not depend on output, so a module's prefix is not known here:
    in a module with one, what was not sent stays so until results change.
    """
    path = Path(layout.TRACKED.format(**wildcards))
    try:
        tracked = json.loads(path.read_text())
        return tracked["attempt"] if tracked["sent"] else str(path.stat().st_mtime_ns)
    except (OSError, ValueError, KeyError):
        return ""
