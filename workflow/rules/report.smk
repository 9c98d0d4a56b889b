# The page people read.
# Times are shown of this config's jobs only: the folder may hold those of other runs.
RUN_STAGES = ["train", "evaluate"] + (["explain"] if CONFIG.report.saliency else [])
JOBS = [
    *(["phantom"] if PHANTOM else []),
    *expand("verify_subset{subset}", subset=SUBSETS),
    "verify",
    *(expand("propose_subset{subset}", subset=SUBSETS) if PROPOSE else []),
    *expand("cache_subset{subset}", subset=SUBSETS),
    "verify_voxels",
    "candidates",
    *expand(
        [f"{stage}_{{run}}_fold{{fold}}" for stage in RUN_STAGES],
        run=RUNS,
        fold=FOLDS,
    ),
    "metrics",
]


rule report:
    input:
        runs=expand(
            [layout.PREDICTIONS, layout.EVALUATION],
            run=RUNS,
            fold=FOLDS,
        ),
        saliency=(
            expand(layout.SALIENCY, run=RUNS, fold=FOLDS)
            if CONFIG.report.saliency
            else []
        ),
        metrics=layout.METRICS,
        summary=layout.SUMMARY_RECORD,
        verification=layout.VERIFICATION,
        listing=layout.LISTING,
        candidates=layout.CANDIDATES,
        series=layout.SERIES,
        crops=CACHED,
    output:
        page=report(layout.REPORT, caption="../report/report.rst", category="Report"),
    log:
        layout.LOG.format("report"),
    benchmark:
        layout.BENCHMARK.format("report")
    conda:
        "../../envs/luna.yaml"
    params:
        code=code("report"),
        folders=run_folders,
        benchmarks=benchmark_files,
        crops=crops_folder,
        crop_options=CROP_OPTIONS,
        options=options(CONFIG.report, "report."),
        sweeps=json.dumps(
            {name: each.model_dump() for name, each in CONFIG.swept.items()}
        ),
    message:
        "Writing the report"
    shell:
        '"$PYTHON" "$SCRIPTS/report.py" --folders {params.folders:q}'
        " --verification {input.verification:q} --listing {input.listing:q}"
        " --metrics {input.metrics:q} --summary {input.summary:q} --benchmarks {params.benchmarks:q}"
        " --series {input.series:q} --candidates {input.candidates:q}"
        " --crops {params.crops:q} {params.crop_options}"
        " --sweeps {params.sweeps:q} {params.options} --out {output.page:q} 2> {log:q}"
