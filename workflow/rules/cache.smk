# The one time that the voxels of CTs are read: they are checked, and crops are cut. One job per subset;
# within it only series that changed are read again.
rule cache_subset:
    input:
        files=phantom_files_of,
        series=layout.SUBSET_SERIES,
        candidates=layout.SUBSET_CANDIDATES,
    output:
        layout.CACHED_SUBSET,
    log:
        layout.LOG.format("cache_subset{subset}"),
    benchmark:
        layout.BENCHMARK.format("cache_subset{subset}")
    conda:
        "../../envs/luna.yaml"
    params:
        code=code("cache_subset"),
        files=state_of_files,
        root=data_root,
        copies=copies_folder,
        options=options(CONFIG.cache, "cache."),
        folder=lambda wildcards, output: beside(output[0], "crops"),
    message:
        "Reading the CTs of subset {wildcards.subset}"
    shell:
        '"$PYTHON" "$SCRIPTS/cache_subset.py" --root={params.root:q} --subset {wildcards.subset}'
        " --copies {params.copies:q} --series {input.series:q} --candidates {input.candidates:q}"
        " {params.options} --folder {params.folder:q} --manifest {output:q} 2> {log:q}"
