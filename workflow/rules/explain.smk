# Where each model looks, for the candidates that the report shows.
rule explain:
    input:
        model=layout.MODEL,
        predictions=layout.PREDICTIONS,
        crops=CACHED,
        series=layout.SERIES,
        candidates=layout.CANDIDATES,
    output:
        layout.SALIENCY,
    log:
        layout.LOG.format("explain_{run}_fold{fold}"),
    benchmark:
        layout.BENCHMARK.format("explain_{run}_fold{fold}")
    conda:
        "../../envs/luna.yaml"
    threads: gpu_share()
    resources:
        gpu=1,
        machine=MACHINE_OPTIONS,
    params:
        code=code("explain"),
        crops=crops_folder,
        crop_options=CROP_OPTIONS,
        options=options(CONFIG.report, "report.", only=["negatives"]),
    message:
        "Explaining {wildcards.run}, fold {wildcards.fold}"
    shell:
        '"$PYTHON" "$SCRIPTS/explain.py" --model {input.model:q} --predictions {input.predictions:q}'
        " {params.options} --series {input.series:q} --candidates {input.candidates:q}"
        " --crops {params.crops:q} {params.crop_options} --saliency {output:q}"
        " --threads {threads} {resources.machine} 2> {log:q}"
