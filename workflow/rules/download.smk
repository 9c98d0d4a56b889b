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
