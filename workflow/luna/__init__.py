"""Lung-nodule classification on LUNA16: all logic of the workflow, free of Snakemake."""
