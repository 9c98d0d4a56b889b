from pathlib import Path
import sys

sys.path.insert(0, str(Path(workflow.current_basedir) / "workflow"))

from snakemake.utils import min_version

min_version("9.0")


# Beside this file, wherever Snakemake is started.
configfile: str(Path(workflow.current_basedir) / "config" / "config.yaml")


include: "workflow/rules/common.smk"
include: "workflow/rules/runs.smk"
include: "workflow/rules/sources.smk"
include: "workflow/rules/paths.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/cache.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/explain.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/export.smk"
include: "workflow/rules/track.smk"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        MISSING_FILES,
        layout.METRICS,
        layout.SUMMARY,
        layout.REPORT,
        layout.SERIES,
        layout.CANDIDATES,
        # Named so that a deleted one comes back; a deleted cache does not, until it is needed.
        expand([layout.MODEL, *RUN_FILES], run=RUNS, fold=FOLDS),
        TRACKED,
