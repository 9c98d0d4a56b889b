"""The page that describes every key of the config, made from the schema."""

import json
from collections.abc import Iterator

from luna.config import Config, properties, schema

_INTRODUCTION = """# The config

`config.yaml` is read by every `snakemake`. A second file, given with `--configfile`, and single values,
given with `--config "data={root: /my/luna16}"`, are laid over it key by key. `luna16.yaml` is such a
file, for the real data. All of it is checked against `workflow/schemas/config.schema.yaml` before
anything runs.

This page is made from that schema: run `make docs` after a change there.
"""


def reference() -> str:
    """Every key of the config as Markdown: a table a section with values, default and meaning."""
    top = {key: node for key, node in schema()["properties"].items() if "properties" not in node}
    sections: Config = {"": {"properties": top}}
    sections |= {name: node for name, node in schema()["properties"].items() if "properties" in node}
    sections["runs.<name>"] = {
        "description": "A recipe. The same keys in `training` set what all runs share.",
        **schema()["$defs"]["recipe"],
    }
    tables = (text for name, node in sections.items() for text in _section_text(name, node))
    return "\n".join([_INTRODUCTION, *tables]).rstrip() + "\n"


def _section_text(name: str, node: Config) -> Iterator[str]:
    yield f"## {'`' + name + '`' if name else 'Top level'}\n"
    if "description" in node:
        yield f"{node['description']}\n"
    yield "| key | values | default | meaning |\n|---|---|---|---|"
    for key, child in node["properties"].items():
        inner = {f"{key}.{name}": each for name, each in properties(child).items()} or {key: child}
        for full, each in inner.items():
            default = f"`{json.dumps(each['default'])}`" if "default" in each else "required"
            yield f"| `{full}` | {_values_text(each)} | {default} | {each['description']} |"
    yield ""


def _values_text(node: Config) -> str:
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if node.get("type") == "array":
        return f"list of {_values_text(node['items'])}"
    if node.get("type") == "object":
        return "recipes by name"
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    bounds = [f"{word} {node[key]}" for key, word in words.items() if key in node]
    return " ".join([str(node["type"]), *bounds])
