# On demand: snakemake results/runs/balanced/fold0/model.onnx
rule export:
    input:
        model="results/runs/{run}/fold{fold}/model.pt",
        evaluation="results/runs/{run}/fold{fold}/evaluation.json",
        verification="results/verification.json",
        crops=CROPS,
        series="results/series.csv",
        candidates="results/candidates.csv",
    output:
        onnx="results/runs/{run}/fold{fold}/model.onnx",
        card="results/runs/{run}/fold{fold}/model_card.md",
    log:
        "results/logs/export_{run}_fold{fold}.log",
    benchmark:
        "results/benchmarks/export_{run}_fold{fold}.tsv"
    conda:
        "../../envs/luna.yaml"
    params:
        code=code("export_model"),
        data=DATA_OPTIONS,
    message:
        "Exporting {wildcards.run}, fold {wildcards.fold}"
    shell:
        "$PYTHON $SCRIPTS/export_model.py --model {input.model} --evaluation {input.evaluation}"
        " --verification {input.verification} --onnx {output.onnx} --card {output.card} {params.data} 2> {log}"
