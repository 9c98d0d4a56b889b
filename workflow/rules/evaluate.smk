# Test every model on its held-out series, and summarise the results.
from luna.config.evaluation import JudgingSettings, ScoringSettings

RUN_FILES = [layout.HISTORY, layout.VALIDATION, layout.PREDICTIONS, layout.EVALUATION]
SCORING = (
    f"--seed={CONFIG.seed}"
    f" {options(CONFIG.evaluation, only=ScoringSettings.model_fields)}"
)


rule evaluate:
    input:
        model=layout.MODEL,
        validation=layout.VALIDATION,
        crops=CACHED,
        series=layout.SERIES,
        candidates=layout.CANDIDATES,
        annotations=ANNOTATIONS,
        excluded=EXCLUDED,
    output:
        predictions=report(
            layout.PREDICTIONS,
            caption="../report/predictions.rst",
            category="Predictions",
            labels={"run": "{run}", "fold": "{fold}"},
        ),
        evaluation=layout.EVALUATION,
    log:
        layout.LOG.format("evaluate_{run}_fold{fold}"),
    benchmark:
        layout.BENCHMARK.format("evaluate_{run}_fold{fold}")
    conda:
        "../../envs/luna.yaml"
    threads: gpu_share()
    resources:
        gpu=1,
        machine=MACHINE_OPTIONS,
    params:
        code=code("evaluate"),
        crops=crops_folder,
        crop_options=CROP_OPTIONS,
        scoring=SCORING,
        judging=options(CONFIG.evaluation, only=JudgingSettings.model_fields),
    message:
        "Testing {wildcards.run}, fold {wildcards.fold}"
    shell:
        '"$PYTHON" "$SCRIPTS/evaluate.py" --model {input.model:q} --validation {input.validation:q}'
        " --annotations {input.annotations:q} --excluded {input.excluded:q}"
        " {params.scoring} {params.judging}"
        " --series {input.series:q} --candidates {input.candidates:q}"
        " --crops {params.crops:q} {params.crop_options}"
        " --predictions {output.predictions:q} --evaluation {output.evaluation:q}"
        " --threads {threads} {resources.machine} 2> {log:q}"


rule metrics:
    input:
        runs=expand(RUN_FILES, run=RUNS, fold=FOLDS),
        annotations=ANNOTATIONS,
        excluded=EXCLUDED,
        # After a checkpoint Snakemake looks again only at the jobs that take its files.
        series=layout.SERIES,
    output:
        metrics=report(
            layout.METRICS, caption="../report/metrics.rst", category="Results"
        ),
        summary=report(
            layout.SUMMARY, caption="../report/summary.rst", category="Results"
        ),
        record=layout.SUMMARY_RECORD,
    log:
        layout.LOG.format("metrics"),
    benchmark:
        layout.BENCHMARK.format("metrics")
    conda:
        "../../envs/luna.yaml"
    params:
        code=code("metrics"),
        folders=run_folders,
        scoring=SCORING,
    message:
        "Summarising results"
    shell:
        '"$PYTHON" "$SCRIPTS/metrics.py" --folders {params.folders:q} {params.scoring}'
        " --annotations {input.annotations:q} --excluded {input.excluded:q}"
        " --metrics {output.metrics:q} --summary {output.summary:q} --record {output.record:q} 2> {log:q}"
