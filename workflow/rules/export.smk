# On demand: snakemake results/runs/balanced/fold0/model.onnx
rule export:
    input:
        model=layout.MODEL,
        evaluation=layout.EVALUATION,
        verification=layout.VERIFICATION,
        crops=CROPS,
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
        data=DATA_OPTIONS,
    message:
        "Exporting {wildcards.run}, fold {wildcards.fold}"
    shell:
        "$PYTHON $SCRIPTS/export.py --model {input.model} --evaluation {input.evaluation}"
        " --verification {input.verification} --series {input.series}"
        " --candidates {input.candidates} {params.data}"
        " --onnx {output.onnx} --card {output.card} 2> {log}"
