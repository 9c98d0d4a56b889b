# Shared by all rules: the config, the digests of the programs, and how the programs are started.
from pathlib import Path
from shlex import join, quote

from snakemake.exceptions import WorkflowError

from luna.base import layout
from luna.base.code import code_digest
from luna.base.errors import UserError
from luna.cli.options import option_words
from luna.config.tree import read_config

try:
    CONFIG = read_config(config)
except UserError as error:
    raise WorkflowError(str(error))

if {"{", "}"} & set(str(workflow.current_basedir)):
    raise WorkflowError(
        f"{workflow.current_basedir}: Snakemake takes what stands in braces for a wildcard;"
        " move the clone to a folder without them"
    )

# With `--sdm conda` the interpreter is the one of the rule's environment.
DEPLOYED = {str(method) for method in workflow.deployment_settings.deployment_method}
PYTHON = "python" if "conda" in DEPLOYED else sys.executable
SCRIPTS = Path(workflow.current_basedir).parent / "scripts"
# Not in params: where project and interpreter lie changes no result, so moving them reruns nothing.
variables = f"PYTHON={quote(PYTHON)}; SCRIPTS={quote(str(SCRIPTS))}; "
# Snakemake fills in what stands in braces.
shell.prefix(f"set -euo pipefail; {variables.replace('{', '{{').replace('}', '}}')}")


def code(name):
    """Changes when the code that a program runs does; as a parameter it makes Snakemake rerun."""
    return code_digest(SCRIPTS / f"{name}.py")


def options(section, prefix="", only=()):
    """A section of the config as options of a program: those that differ from the default."""
    return join(option_words(section, prefix, only))
