# On demand, before anything else: snakemake results/download.json --config "data={...}"
rule download:
    output:
        "results/download.json",
    log:
        "results/logs/download.log",
    conda:
        "../../envs/luna.yaml"
    params:
        root=ROOT,
        records=DATA["records"],
        files=DATA["files"],
    message:
        "Downloading the data set to {params.root}"
    shell:
        "$PYTHON $SCRIPTS/download_data.py --root {params.root:q} --records {params.records:q}"
        " --files {params.files:q} --manifest {output} 2> {log}"
