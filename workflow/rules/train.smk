# Training: one job per run and fold, on a GPU where there is one.
from luna.config.machine import LogSettings, MachineSettings

CROP_OPTIONS = options(CONFIG.cache, "cache.")

# Given as resources, not as params: these change no result, so a change of them reruns nothing.
MACHINE_OPTIONS = options(CONFIG.training, only=MachineSettings.model_fields)
LOG_OPTIONS = options(CONFIG.training, only=LogSettings.model_fields)


rule train:
    input:
        crops=CACHED,
        series=layout.SERIES,
        candidates=layout.CANDIDATES,
        weights=initial_weights,
    output:
        # Not deleted before the job starts: a training that would end in the same files keeps them.
        model=update(layout.MODEL),
        history=update(layout.HISTORY),
        validation=update(layout.VALIDATION),
    log:
        layout.LOG.format("train_{run}_fold{fold}"),
    benchmark:
        layout.BENCHMARK.format("train_{run}_fold{fold}")
    conda:
        "../../envs/luna.yaml"
    threads: lambda wildcards: max(gpu_share(), recipe_of(wildcards).threads)
    resources:
        gpu=lambda wildcards: recipe_of(wildcards).gpus,
        machine=MACHINE_OPTIONS,
        logs=LOG_OPTIONS,
    params:
        code=code("train"),
        launcher=lambda wildcards: launcher(recipe_of(wildcards).gpus),
        crops=crops_folder,
        crop_options=CROP_OPTIONS,
        split=options(CONFIG.split, "split.", only=["method", "stride"]),
        recipe=lambda wildcards: options(recipe_of(wildcards)),
        seed=CONFIG.seed,
        weights=lambda wildcards, input: (
            input.weights if recipe_of(wildcards).earlier_run else []
        ),
        state=state_folder,
        tensorboard=tensorboard_folder,
    message:
        "Training {wildcards.run}, fold {wildcards.fold}"
    shell:
        '"$PYTHON" {params.launcher} "$SCRIPTS/train.py" --run {wildcards.run} --fold {wildcards.fold}'
        " --seed {params.seed} {params.recipe} {params.split}"
        " --weights {params.weights:q}"
        " --series {input.series:q} --candidates {input.candidates:q}"
        " --crops {params.crops:q} {params.crop_options}"
        " --model {output.model:q} --history {output.history:q}"
        " --validation {output.validation:q} --state {params.state:q}"
        " {resources.machine} --tensorboard={params.tensorboard:q} {resources.logs} 2> {log:q}"
