# The crop cache. One job per subset; within it only series that changed are cut again. Whether a CT
# changed is recorded in series.csv, as its checksum, unless verification reads headers only. From a
# bucket the CTs have to be fetched.
from luna.config.cache import CropSettings


rule cache_subset:
    input:
        files=lambda wildcards: (
            FILES[int(wildcards.subset)] if DATA.verify == "header" or REMOTE else []
        ),
        series=layout.SERIES,
        candidates=layout.CANDIDATES,
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
        options=options(CONFIG.cache, "cache.", only=CropSettings.model_fields),
        folder=lambda wildcards, output: beside(output[0], "crops"),
    message:
        "Cutting the crops of subset {wildcards.subset}"
    shell:
        '"$PYTHON" "$SCRIPTS/cache_subset.py" --series {input.series:q} --candidates {input.candidates:q}'
        " --subset {wildcards.subset} {params.options}"
        " --folder {params.folder:q} --manifest {output:q} 2> {log:q}"
