# On demand, before anything else: snakemake results/download.json --config "data={...}"
rule download:
    output:
        layout.DOWNLOAD,
    log:
        layout.LOG.format("download"),
    conda:
        "../../envs/luna.yaml"
    params:
        root=download_folder,
        options=options(DATA, only=["records", "files"]),
    message:
        "Downloading the data set to {params.root}"
    shell:
        '"$PYTHON" "$SCRIPTS/download.py" --root={params.root:q} {params.options} --manifest {output:q} 2> {log:q}'


# Tables and weights in a bucket. CTs are fetched by the jobs that read them.
rule fetch:
    output:
        layout.FETCHED,
    log:
        layout.LOG.format("fetch/{address}"),
    conda:
        "../../envs/luna.yaml"
    params:
        code=code("fetch"),
        version=version_of,
        address=lambda wildcards: f"{SCHEME}{wildcards.address}",
    message:
        "Fetching {params.address}"
    shell:
        '"$PYTHON" "$SCRIPTS/fetch.py" --address {params.address:q} --out {output:q} 2> {log:q}'
