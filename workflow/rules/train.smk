# Training: one job a run and fold, on a GPU where there is one.
CROPS = (
    expand("results/cache/subset{n}.json", n=SUBSETS)
    if config["cache"]["source"] == "cache"
    else []
)
DATA_OPTIONS = (
    f"--cache '{as_json(config['cache'])}' --split '{as_json(config['split'])}'"
)

# Given as resources, not as params: these change no result, so a change of them reruns nothing.
MACHINE_OPTIONS = " ".join(
    f"--{key.replace('_', '-')} {config['training'][key]}"
    for key in ("device", "loader", "num_workers")
)
LOG_OPTIONS = (
    f"--tensorboard results/tensorboard --tb-prefix={config['training']['tensorboard_prefix']}"
    f" --tb-writers {config['training']['tensorboard_writers']}"
    f" --checkpoint-minutes {config['training']['checkpoint_minutes']} {config['training']['comment']}"
)


rule train:
    input:
        crops=CROPS,
        series="results/series.csv",
        candidates="results/candidates.csv",
        weights=lambda wildcards: config["runs"][wildcards.run]["init_weights"] or [],
    output:
        model="results/runs/{run}/fold{fold}/model.pt",
        history="results/runs/{run}/fold{fold}/history.csv",
    log:
        "results/logs/train_{run}_fold{fold}.log",
    benchmark:
        "results/benchmarks/train_{run}_fold{fold}.tsv"
    conda:
        "../../envs/luna.yaml"
    threads: gpu_share()
    resources:
        gpu=lambda wildcards: config["runs"][wildcards.run]["gpus"],
        machine=MACHINE_OPTIONS,
        logs=LOG_OPTIONS,
    params:
        code=code("train"),
        launcher=lambda wildcards: launcher(config["runs"][wildcards.run]["gpus"]),
        data=DATA_OPTIONS,
        recipe=lambda wildcards: as_json(config["runs"][wildcards.run]),
        seed=config["seed"],
    message:
        "Training {wildcards.run}, fold {wildcards.fold}"
    shell:
        "$PYTHON {params.launcher} $SCRIPTS/train.py --run {wildcards.run} --fold {wildcards.fold} --seed {params.seed}"
        " --recipe {params.recipe:q} {params.data} --threads {threads}"
        " {resources.machine} {resources.logs} 2> {log}"
