# The page people read.
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
        benchmarks=layout.BENCHMARKS,
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
