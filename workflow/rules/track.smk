# Results go to an MLflow server too, where the config names one.
from importlib.util import find_spec

TRACKED = expand(layout.TRACKED, run=RUNS, fold=FOLDS) if CONFIG.tracking.mlflow else []
if TRACKED and "conda" not in DEPLOYED and find_spec("mlflow") is None:
    raise WorkflowError(
        "tracking.mlflow needs a package: pip install -r envs/requirements-tracking.txt"
    )


rule track:
    input:
        model=layout.MODEL,
        history=layout.HISTORY,
        validation=layout.VALIDATION,
        predictions=layout.PREDICTIONS,
        evaluation=layout.EVALUATION,
        verification=layout.VERIFICATION,
    output:
        layout.TRACKED,
    log:
        layout.LOG.format("track_{run}_fold{fold}"),
    conda:
        "../../envs/tracking.yaml"
    params:
        code=code("track"),
        options=options(CONFIG.tracking, "tracking."),
        attempt=tracking_attempt,
    message:
        "Sending {wildcards.run}, fold {wildcards.fold}"
    shell:
        '("$PYTHON" "$SCRIPTS/track.py" --model {input.model:q} --history {input.history:q}'
        " --validation {input.validation:q} --predictions {input.predictions:q}"
        " --evaluation {input.evaluation:q} --verification {input.verification:q}"
        " {params.options} --attempt={params.attempt:q} --out {output:q}) 2>&1 | tee {log:q} >&2"
