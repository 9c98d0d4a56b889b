# Test every model on its held-out series, and summarise the results.
from luna.config.evaluation import ScoringSettings

RUN_FILES = [layout.HISTORY, layout.PREDICTIONS, layout.EVALUATION]
FOLDERS = expand(layout.FOLD, run=RUNS, fold=FOLDS)
TRUTH_OPTIONS = " ".join(
    f"{option} {quote(str(path))}"
    for option, path in zip(["--annotations", "--excluded"], TRUTH)
)
SCORING = (
    f"--seed={CONFIG.seed}"
    f" {options(CONFIG.evaluation, only=ScoringSettings.model_fields)}"
)


rule evaluate:
    input:
        model=layout.MODEL,
        crops=CROPS,
        series=layout.SERIES,
        candidates=layout.CANDIDATES,
        truth=TRUTH,
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
        data=DATA_OPTIONS,
        truth=TRUTH_OPTIONS,
        scoring=SCORING,
        flips=options(CONFIG.evaluation, only=["flips"]),
    message:
        "Testing {wildcards.run}, fold {wildcards.fold}"
    shell:
        "$PYTHON $SCRIPTS/evaluate.py --model {input.model} {params.truth}"
        " {params.scoring} {params.flips}"
        " --series {input.series} --candidates {input.candidates} {params.data}"
        " --predictions {output.predictions} --evaluation {output.evaluation}"
        " --threads {threads} {resources.machine} 2> {log}"


rule metrics:
    input:
        expand(RUN_FILES, run=RUNS, fold=FOLDS),
        truth=TRUTH,
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
        folders=FOLDERS,
        truth=TRUTH_OPTIONS,
        scoring=SCORING,
    message:
        "Summarising results"
    shell:
        "$PYTHON $SCRIPTS/metrics.py --folders {params.folders} {params.truth} {params.scoring}"
        " --metrics {output.metrics} --summary {output.summary} --record {output.record} 2> {log}"
