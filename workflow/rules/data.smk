# From files to the list of candidates: make the phantom, verify, join.
if PHANTOM:

    rule phantom:
        output:
            annotations=ANNOTATIONS,
            candidates=CANDIDATES[0],
            cts=[file for files in FILES.values() for file in files],
        log:
            "results/logs/phantom.log",
        benchmark:
            "results/benchmarks/phantom.tsv"
        conda:
            "../../envs/luna.yaml"
        threads: 8
        params:
            code=code("make_phantom"),
            root=ROOT,
            seed=config["seed"],
            settings=" ".join(
                f"--{key} {value}"
                for key, value in config["phantom"].items()
                if value != ""
            ),
        message:
            "Making the phantom data set"
        shell:
            "$PYTHON $SCRIPTS/make_phantom.py --out {params.root} --seed {params.seed} {params.settings}"
            " --processes {threads} 2> {log}"


rule verify_subset:
    input:
        lambda wildcards: FILES[int(wildcards.subset)],
    output:
        "results/verify/subset{subset}.csv",
    log:
        "results/logs/verify_subset{subset}.log",
    benchmark:
        "results/benchmarks/verify_subset{subset}.tsv"
    conda:
        "../../envs/luna.yaml"
    params:
        code=code("verify_data"),
        root=ROOT,
        mode=DATA["verify"],
    message:
        "Verifying subset {wildcards.subset}"
    shell:
        "$PYTHON $SCRIPTS/verify_data.py --root {params.root:q} --out results --mode {params.mode}"
        " --subset {wildcards.subset} 2> {log}"


rule verify:
    input:
        subsets=expand("results/verify/subset{n}.csv", n=SUBSETS),
        annotations=ANNOTATIONS,
        candidates=CANDIDATES,
    output:
        series="results/series.csv",
        report=report(
            "results/verification.json",
            caption="../report/verification.rst",
            category="Data",
        ),
    log:
        "results/logs/verify.log",
    benchmark:
        "results/benchmarks/verify.tsv"
    conda:
        "../../envs/luna.yaml"
    params:
        code=code("verify_data"),
        root=ROOT,
        subsets=SUBSETS,
        policy=DATA["on_problem"],
        expect=DATA["expect"],
    message:
        "Judging the data set"
    shell:
        "($PYTHON $SCRIPTS/verify_data.py --root {params.root:q} --out results --merge {params.subsets}"
        " --annotations {input.annotations:q} --candidates {input.candidates:q}"
        " --on-problem {params.policy} --expect {params.expect}) 2>&1 | tee {log} >&2"


rule candidates:
    input:
        series="results/series.csv",
        annotations=ANNOTATIONS,
        candidates=CANDIDATES,
    output:
        table="results/candidates.csv",
        report="results/candidates.json",
    log:
        "results/logs/candidates.log",
    benchmark:
        "results/benchmarks/candidates.tsv"
    conda:
        "../../envs/luna.yaml"
    params:
        code=code("list_candidates"),
        together=(
            "--keep-patients-together"
            if config["split"]["keep_patients_together"]
            else ""
        ),
    message:
        "Listing the candidates"
    shell:
        "$PYTHON $SCRIPTS/list_candidates.py --series {input.series} --annotations {input.annotations:q}"
        " --candidates {input.candidates:q} --out {output.table} --report {output.report}"
        " {params.together} 2> {log}"
