# The crop cache. A job a subset: inside it only series that changed are cut again. Whether a CT
# changed stands in series.csv, as its checksum, unless verification reads headers only. From
# object storage the CTs have to be fetched.
rule cache_subset:
    input:
        files=lambda wildcards: (
            FILES[int(wildcards.subset)]
            if DATA["verify"] == "header" or REMOTE
            else []
        ),
        series="results/series.csv",
        candidates="results/candidates.csv",
    output:
        "results/cache/subset{subset}.json",
    log:
        "results/logs/cache_subset{subset}.log",
    benchmark:
        "results/benchmarks/cache_subset{subset}.tsv"
    conda:
        "../../envs/luna.yaml"
    params:
        code=code("cache_crops"),
        settings=" ".join(
            f"--{key} {' '.join(map(str, config['cache'][key]))}"
            for key in ("crop", "margin", "clip")
        ),
        codec=config["cache"]["codec"],
        folder="results/cache/crops",
    message:
        "Cutting the crops of subset {wildcards.subset}"
    shell:
        "$PYTHON $SCRIPTS/cache_crops.py --series {input.series} --candidates {input.candidates}"
        " --folder {params.folder} --subset {wildcards.subset} --manifest {output}"
        " {params.settings} --codec {params.codec} 2> {log}"
