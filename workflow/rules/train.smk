# Training: one job a run and fold, on a GPU where there is one.
CROPS = (
    expand("results/cache/subset{n}.json", n=SUBSETS)
    if config["cache"]["source"] == "cache"
    else []
)
DATA_OPTIONS = (
    f"--cache '{as_json(config['cache'])}' --split '{as_json(config['split'])}'"
)

# Named in the shell commands, not in params: these change no result, so they rerun nothing.
MACHINE_OPTIONS = f"--device {config['training']['device']} --num-workers {config['training']['num_workers']}"
LOG_OPTIONS = (
    f"--tensorboard results/tensorboard --tb-prefix={config['training']['tensorboard_prefix']}"
    f" --checkpoint-minutes {config['training']['checkpoint_minutes']} {config['training']['comment']}"
)


rule train:
    input:
        crops=CROPS,
        series="results/series.csv",
        candidates="results/candidates.csv",
    output:
        model="results/runs/{run}/fold{fold}/model.pt",
        history="results/runs/{run}/fold{fold}/history.csv",
    log:
        "results/logs/train_{run}_fold{fold}.log",
    benchmark:
        "results/benchmarks/train_{run}_fold{fold}.tsv"
    threads: gpu_share()
    resources:
        gpu=1,
    params:
        code=code("train"),
        command=program("train"),
        data=DATA_OPTIONS,
        recipe=lambda wildcards: as_json(config["runs"][wildcards.run]),
        seed=config["seed"],
    message:
        "Training {wildcards.run}, fold {wildcards.fold}"
    shell:
        "{params.command} --run {wildcards.run} --fold {wildcards.fold} --seed {params.seed}"
        " --recipe {params.recipe:q} {params.data} --threads {threads}"
        " {MACHINE_OPTIONS} {LOG_OPTIONS} 2> {log}"
