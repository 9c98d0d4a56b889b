# The page people read.
# Times are shown of this config's jobs only: the folder may hold those of other runs.
JOBS = [
    *(["phantom"] if PHANTOM else []),
    *expand("verify_subset{subset}", subset=SUBSETS),
    "verify",
    "candidates",
    *(f"cache_subset{n}" for n in SUBSETS if CONFIG.cache.source == "cache"),
    *expand(
        ["train_{run}_fold{fold}", "evaluate_{run}_fold{fold}"], run=RUNS, fold=FOLDS
    ),
    "metrics",
]


rule report:
    input:
        expand([layout.PREDICTIONS, layout.EVALUATION], run=RUNS, fold=FOLDS),
        metrics=layout.METRICS,
        summary=layout.SUMMARY_RECORD,
        verification=layout.VERIFICATION,
        listing=layout.LISTING,
        candidates=layout.CANDIDATES,
        series=layout.SERIES,
        crops=CROPS,
    output:
        report(layout.REPORT, caption="../report/report.rst", category="Report"),
    log:
        layout.LOG.format("report"),
    benchmark:
        layout.BENCHMARK.format("report")
    conda:
        "../../envs/luna.yaml"
    params:
        code=code("report"),
        folders=FOLDERS,
        benchmarks=[layout.BENCHMARK.format(job) for job in JOBS],
        data=DATA_OPTIONS,
        options=options(CONFIG.report, "report."),
    message:
        "Writing the report"
    shell:
        "$PYTHON $SCRIPTS/report.py --folders {params.folders}"
        " --verification {input.verification} --listing {input.listing}"
        " --metrics {input.metrics} --summary {input.summary} --benchmarks {params.benchmarks}"
        " --series {input.series} --candidates {input.candidates} {params.data}"
        " {params.options} --out {output} 2> {log}"
