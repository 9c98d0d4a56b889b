"""The pages about the config, made from its classes: config/README.md and its JSON schema."""

import json
from collections.abc import Iterator
from typing import Any

CHANGES_NO_RESULT = True
Schema = dict[str, Any]

_INTRODUCTION = """# The config

`config.yaml` is read by every `snakemake`. A second file, given with `--configfile`, and single values,
given with `--config "data={root: /my/luna16}"`, are laid over it key by key. `luna16.yaml` is such a
file, for the real data. Everything is checked before anything runs.

This page and `schema.json` are made from the classes in `workflow/luna/config/`: run `make docs` after a
change there. An editor that knows JSON schemas can use `schema.json` to complete and check keys.
"""


def schema_at(place: tuple[int | str, ...], schema: Schema) -> Schema:
    """The part of a JSON schema that describes a place in the config; empty where none does."""
    node = schema
    for part in place:
        node = _resolved(node, schema)
        if isinstance(part, int):
            listed = node.get("prefixItems", [])
            node = listed[part] if part < len(listed) else node.get("items", {})
        else:
            any_name = node.get("additionalProperties")
            others: Schema = next(iter(node.get("patternProperties", {}).values()), any_name or {})
            node = node.get("properties", {}).get(part, others)
    return _resolved(node, schema)


def keys_of(node: Schema, schema: Schema) -> list[str]:
    """The keys that are allowed at a part of the schema."""
    return list(_resolved(node, schema).get("properties", {}))


def allowed_values(node: Schema, schema: Schema) -> str:
    """What a value may be, in words."""
    node = _resolved(node, schema)
    if "anyOf" in node:
        return " or ".join(allowed_values(each, schema) for each in node["anyOf"])
    if "enum" in node or "const" in node:
        return ", ".join(f"`{value}`" for value in node.get("enum", [node.get("const")]))
    if node.get("type") == "array":
        items = node.get("prefixItems") or [node.get("items", {})]
        count = f"{len(node['prefixItems'])} of " if "prefixItems" in node else "a list of "
        return f"{count}{allowed_values(items[0], schema)}"
    if node.get("type") == "object":
        return "keys with values"
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    bounds = [f"{word} {node[key]:g}" if node[key] < 1e6 else f"{word} {node[key]}"
              for key, word in words.items() if key in node]  # fmt: skip
    pattern = [f"that matches {node['pattern']}"] if "pattern" in node else []
    return " ".join([str(node.get("type", "any value")), *bounds, *pattern])


def reference_page(schema: Schema) -> str:
    """Every key of the config as Markdown: one table per section with values, default and meaning."""
    return "\n".join([_INTRODUCTION, *_tables(schema)]).rstrip() + "\n"


def schema_text(schema: Schema) -> str:
    """The JSON schema as text."""
    return json.dumps(schema, indent=1) + "\n"


def _tables(schema: Schema) -> Iterator[str]:
    properties = schema["properties"]
    top = {key: node for key, node in properties.items() if "properties" not in _resolved(node, schema)}
    yield from _table("Top level", {"properties": top}, schema)
    recipe = schema["$defs"]["Recipe"]
    for name in (key for key in properties if key not in top):
        node = _resolved(properties[name], schema)
        if name == "training":
            shared = recipe["properties"]
            node = node | {"properties": {k: v for k, v in node["properties"].items() if k not in shared}}
        yield from _table(f"`{name}`", node, schema)
    yield from _table("`runs.<name>`", recipe, schema)
    yield from _table("`sweeps.<name>`", schema["$defs"]["Sweep"], schema)


def _table(title: str, node: Schema, schema: Schema) -> Iterator[str]:
    yield f"## {title}\n"
    if "description" in node:
        yield f"{_one_line(node['description'])}\n"
    yield "| key | values | default | meaning |\n|---|---|---|---|"
    for key, child in _leaves(node, schema):
        default = f"`{json.dumps(child['default'])}`" if "default" in child else "required"
        values = allowed_values(child, schema).replace("|", "\\|")
        yield f"| `{key}` | {values} | {default} | {_one_line(child.get('description', ''))} |"
    yield ""


def _leaves(node: Schema, schema: Schema, before: str = "") -> Iterator[tuple[str, Schema]]:
    for key, child in node["properties"].items():
        inner = _resolved(child, schema)
        if "properties" in inner:
            yield from _leaves(inner, schema, f"{before}{key}.")
        else:
            yield f"{before}{key}", inner


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _resolved(node: Schema, schema: Schema) -> Schema:
    if "$ref" not in node:
        return node
    found: Schema = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return found | {key: value for key, value in node.items() if key != "$ref"}
