# Test every model on the series that chose nothing, and bring the figures together.
SCORING = (
    f"--annotations '{ANNOTATIONS}' --bootstrap {config['evaluation']['bootstrap']}"
    f" --max-marks {config['evaluation']['max_marks']} --seed {config['seed']}"
    + (f" --excluded '{EXCLUDED}'" if EXCLUDED else "")
)
RUN_FILES = ["history.csv", "predictions.csv", "evaluation.json"]


rule evaluate:
    input:
        model="results/runs/{run}/fold{fold}/model.pt",
        crops=CROPS,
        series="results/series.csv",
        candidates="results/candidates.csv",
        truth=[ANNOTATIONS, EXCLUDED] if EXCLUDED else [ANNOTATIONS],
    output:
        predictions=report(
            "results/runs/{run}/fold{fold}/predictions.csv",
            caption="../report/predictions.rst",
            category="Predictions",
            labels={"run": "{run}", "fold": "{fold}"},
        ),
        evaluation="results/runs/{run}/fold{fold}/evaluation.json",
    log:
        "results/logs/evaluate_{run}_fold{fold}.log",
    benchmark:
        "results/benchmarks/evaluate_{run}_fold{fold}.tsv"
    conda:
        "../../envs/luna.yaml"
    threads: gpu_share()
    resources:
        gpu=1,
        machine=MACHINE_OPTIONS,
    params:
        code=code("evaluate"),
        data=DATA_OPTIONS,
        scoring=SCORING,
        flips="--flips" if config["evaluation"]["flips"] else "",
    message:
        "Testing {wildcards.run}, fold {wildcards.fold}"
    shell:
        "$PYTHON $SCRIPTS/evaluate.py --model {input.model} {params.data} {params.scoring}"
        " {params.flips} --threads {threads} {resources.machine} 2> {log}"


rule metrics:
    input:
        expand(
            "results/runs/{run}/fold{fold}/{file}",
            run=RUNS,
            fold=FOLDS,
            file=RUN_FILES,
        ),
        truth=[ANNOTATIONS, EXCLUDED] if EXCLUDED else [ANNOTATIONS],
    output:
        report(
            "results/metrics.csv", caption="../report/metrics.rst", category="Figures"
        ),
        report(
            "results/summary.csv", caption="../report/summary.rst", category="Figures"
        ),
        "results/summary.json",
    log:
        "results/logs/metrics.log",
    benchmark:
        "results/benchmarks/metrics.tsv"
    conda:
        "../../envs/luna.yaml"
    params:
        code=code("summarise"),
        runs=RUNS,
        folds=FOLDS,
        scoring=SCORING,
    message:
        "Bringing the figures together"
    shell:
        "$PYTHON $SCRIPTS/summarise.py --names {params.runs} --folds {params.folds} {params.scoring} 2> {log}"
