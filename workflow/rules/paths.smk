# Folders that programs are given follow from their rule's files, in which a module's prefix is.


def beside(path, name):
    """A file or folder in the folder of a file."""
    return Path(path).parent / name


def crops_folder(wildcards, input):
    """Where the crop files are: beside the lists of what is cached."""
    # Without data there is nothing that is cached, and Snakemake reports what is missing.
    return beside(input.crops[0], "crops") if input.crops else layout.CROPS


def copies_folder(wildcards, output):
    """Where CTs are copied to that cannot be read where they are, a few at a time."""
    return beside(output[0], layout.COPIES.format(subset=wildcards.subset))


def state_folder(wildcards, output):
    """Where a training keeps its checkpoints: beside its model."""
    return beside(output.model, "state")


def tensorboard_folder(wildcards, output):
    """Where a training's logs go: in the folder that holds the folder of the runs."""
    return Path(output.model).parents[3] / Path(layout.TENSORBOARD).name


def run_folders(wildcards, input):
    """The folders of all runs and folds, in order."""
    return list(dict.fromkeys(Path(path).parent for path in input.runs))


def benchmark_files(wildcards, output):
    """Snakemake's benchmark files of this config's jobs; the folder may hold those of other runs."""
    folder = beside(output.page, Path(layout.BENCHMARK).parent.name)
    return [folder / Path(layout.BENCHMARK.format(job)).name for job in JOBS]


def data_root(wildcards, input):
    """The folder with subset0 to subset9: of the phantom, so many levels above a file as in the list of them."""
    if not PHANTOM:
        return BASE
    first = Path(PHANTOM_FILES[int(wildcards.subset)][0])
    levels = len(first.relative_to(layout.PHANTOM).parts)
    return Path(input[0]).parents[levels - 1]
