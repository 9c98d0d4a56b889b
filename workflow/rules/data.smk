# From files to the list of candidates: make the phantom, verify, join.
if PHANTOM:

    rule phantom:
        output:
            annotations=ANNOTATIONS,
            excluded=EXCLUDED,
            candidates=f"{layout.PHANTOM}/candidates.csv",
            cts=[file for files in PHANTOM_FILES.values() for file in files],
        log:
            layout.LOG.format("phantom"),
        benchmark:
            layout.BENCHMARK.format("phantom")
        conda:
            "../../envs/luna.yaml"
        threads: 8
        params:
            code=code("phantom"),
            root=lambda wildcards, output: Path(output.annotations).parent,
            seed=CONFIG.seed,
            options=options(CONFIG.phantom),
        message:
            "Making the phantom data set"
        shell:
            '"$PYTHON" "$SCRIPTS/phantom.py" --out {params.root:q} --seed {params.seed} {params.options}'
            " --processes {threads} 2> {log:q}"


VERIFY_OPTIONS = options(DATA, only=["on_problem", "expect"])


rule verify_subset:
    input:
        phantom_files_of,
    output:
        layout.SUBSET_TABLE,
    log:
        layout.LOG.format("verify_subset{subset}"),
    benchmark:
        layout.BENCHMARK.format("verify_subset{subset}")
    conda:
        "../../envs/luna.yaml"
    params:
        code=code("verify_subset"),
        files=state_of_files,
        root=data_root,
        copies=copies_folder,
    message:
        "Verifying the headers of subset {wildcards.subset}"
    shell:
        '"$PYTHON" "$SCRIPTS/verify_subset.py" --root={params.root:q} --subset {wildcards.subset}'
        " --copies {params.copies:q} --out {output:q} 2> {log:q}"


if PROPOSE:

    rule propose_subset:
        input:
            files=phantom_files_of,
            series=layout.SUBSET_TABLE,
            annotations=ANNOTATIONS,
            weights=[
                seen_from_here(path) for path in [shipped_sieve(), *shipped_models()]
            ],
        output:
            layout.PROPOSALS,
        log:
            layout.LOG.format("propose_subset{subset}"),
        benchmark:
            layout.BENCHMARK.format("propose_subset{subset}")
        conda:
            "../../envs/luna.yaml"
        threads: gpu_share()
        resources:
            gpu=1,
            machine=options(CONFIG.training, only=["device"]),
        params:
            code=code("propose_subset"),
            files=state_of_files,
            root=data_root,
            copies=copies_folder,
            options=options(DATA, only=["proposals"]),
        message:
            "Proposing candidates in subset {wildcards.subset}"
        shell:
            '"$PYTHON" "$SCRIPTS/propose_subset.py" --root={params.root:q} --subset {wildcards.subset}'
            " --copies {params.copies:q} --series {input.series:q} --annotations {input.annotations:q} {params.options} --out {output:q}"
            " --threads {threads} {resources.machine} 2> {log:q}"


# A checkpoint, and so is verify_voxels: when it is done, Snakemake looks again which of the jobs after it
# have inputs of another content. So a CT that was only touched is read again, and nothing else runs.
checkpoint verify:
    input:
        subsets=SUBSET_TABLES,
        annotations=ANNOTATIONS,
        candidates=CANDIDATES,
    output:
        series=expand(layout.SUBSET_SERIES, subset=SUBSETS),
        candidates=expand(layout.SUBSET_CANDIDATES, subset=SUBSETS),
        report=layout.HEADERS,
    log:
        layout.LOG.format("verify"),
    benchmark:
        layout.BENCHMARK.format("verify")
    conda:
        "../../envs/luna.yaml"
    params:
        code=code("verify"),
        problems=lambda wildcards, output: beside(output.report, layout.HEADER_PROBLEMS),
        options=VERIFY_OPTIONS,
    message:
        "Verifying headers and tables"
    shell:
        '("$PYTHON" "$SCRIPTS/verify.py" --subsets {input.subsets:q}'
        " --annotations {input.annotations:q} --candidates {input.candidates:q}"
        " --series {output.series:q} --placed {output.candidates:q}"
        " --report {output.report:q} --problems {params.problems:q}"
        " {params.options}) 2>&1 | tee {log:q} >&2"


checkpoint verify_voxels:
    input:
        subsets=SUBSET_TABLES,
        cached=CACHED,
        annotations=ANNOTATIONS,
        candidates=CANDIDATES,
    output:
        series=layout.SERIES,
        report=report(
            layout.VERIFICATION,
            caption="../report/verification.rst",
            category="Data",
        ),
    log:
        layout.LOG.format("verify_voxels"),
    benchmark:
        layout.BENCHMARK.format("verify_voxels")
    conda:
        "../../envs/luna.yaml"
    params:
        code=code("verify_voxels"),
        problems=lambda wildcards, input: beside(input.subsets[0], layout.PROBLEMS),
        options=VERIFY_OPTIONS,
    message:
        "Verifying the data set"
    shell:
        '("$PYTHON" "$SCRIPTS/verify_voxels.py" --subsets {input.subsets:q} --cached {input.cached:q}'
        " --annotations {input.annotations:q} --candidates {input.candidates:q}"
        " --series {output.series:q} --report {output.report:q} --problems {params.problems:q}"
        " {params.options}) 2>&1 | tee {log:q} >&2"


rule candidates:
    input:
        series=layout.SERIES,
        annotations=ANNOTATIONS,
        candidates=CANDIDATES,
    output:
        table=layout.CANDIDATES,
        report=layout.LISTING,
    log:
        layout.LOG.format("candidates"),
    benchmark:
        layout.BENCHMARK.format("candidates")
    conda:
        "../../envs/luna.yaml"
    params:
        code=code("candidates"),
        options=options(CONFIG.split, only=["keep_patients_together"]),
    message:
        "Listing the candidates"
    shell:
        '"$PYTHON" "$SCRIPTS/candidates.py" --series {input.series:q} --annotations {input.annotations:q}'
        " --candidates {input.candidates:q} {params.options}"
        " --out {output.table:q} --report {output.report:q} 2> {log:q}"
