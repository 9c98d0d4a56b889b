# On demand: snakemake results/runs/balanced/fold0/model.onnx
rule export:
    input:
        model=layout.MODEL,
        evaluation=layout.EVALUATION,
        verification=layout.VERIFICATION,
        crops=CACHED,
        series=layout.SERIES,
        candidates=layout.CANDIDATES,
    output:
        onnx=layout.ONNX,
        card=layout.CARD,
    log:
        layout.LOG.format("export_{run}_fold{fold}"),
    benchmark:
        layout.BENCHMARK.format("export_{run}_fold{fold}")
    conda:
        "../../envs/luna.yaml"
    params:
        code=code("export"),
        crops=crops_folder,
        crop_options=CROP_OPTIONS,
    message:
        "Exporting {wildcards.run}, fold {wildcards.fold}"
    shell:
        '"$PYTHON" "$SCRIPTS/export.py" --model {input.model:q} --evaluation {input.evaluation:q}'
        " --verification {input.verification:q} --series {input.series:q}"
        " --candidates {input.candidates:q}"
        " --crops {params.crops:q} {params.crop_options}"
        " --onnx {output.onnx:q} --card {output.card:q} 2> {log:q}"
