# The page people read.
rule report:
    input:
        "results/metrics.csv",
        "results/summary.csv",
        "results/summary.json",
        "results/verification.json",
        "results/candidates.json",
        "results/candidates.csv",
        "results/series.csv",
        crops=CROPS,
        annotations=ANNOTATIONS,
        predictions=expand(
            "results/runs/{run}/fold{fold}/predictions.csv", run=RUNS, fold=FOLDS
        ),
    output:
        report("results/report.html", caption="../report/report.rst", category="Report"),
    log:
        "results/logs/report.log",
    benchmark:
        "results/benchmarks/report.tsv"
    conda:
        "../../envs/luna.yaml"
    params:
        code=code("report"),
        config=as_json(
            {
                key: config[key]
                for key in ("runs", "folds", "split", "cache", "data", "seed")
            }
        ),
        crops=config["report"]["crops"],
    message:
        "Writing the report"
    shell:
        "$PYTHON $SCRIPTS/report.py --results results --annotations {input.annotations:q} --config {params.config:q} --worst {params.crops}"
        " --out {output} 2> {log}"
