"""Charts of the report: one Vega-Lite specification each, drawn as SVG here and alive in the browser.

docs/report.md says why Vega-Lite.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import vl_convert

Spec = dict[str, Any]
Rows = list[dict[str, Any]]

VERSION = "6.1"
"""Of Vega-Lite. In the bundle of 6.4 tooltips of nearest points are undefined (vega/altair#3926)."""
_INK = "currentColor"
_FONT = "Liberation Sans, sans-serif"
_CONFIG: Spec = {
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": _INK,
        "titleColor": _INK,
        "domainColor": _INK,
        "tickColor": _INK,
        "gridColor": _INK,
        "gridOpacity": 0.12,
        "domainOpacity": 0.5,
        "tickOpacity": 0.5,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "legend": {
        "labelColor": _INK,
        "titleColor": _INK,
        "orient": "bottom",
        "title": None,
        "labelFontSize": 12,
    },
    "header": {"labelColor": _INK, "titleColor": _INK},
}
_LIGHT = ("#3a6ea5", "#b8541f", "#1d7a35", "#96356a", "#2b7f8c", "#7f6a00")
_DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 4], [10, 4])


@dataclass(frozen=True)
class Chart:
    """A chart. name: its id on the page. title: what it shows, in a few words. rows: what it draws."""

    name: str
    title: str
    spec: Spec
    columns: dict[str, str]
    rows: Rows

    @cached_property
    def svg(self) -> str:
        """The drawn chart: the same bytes for the same chart on every machine."""
        drawn = vl_convert.vegalite_to_svg(self.spec, vl_version=VERSION, allowed_base_urls=[])
        return drawn.replace("<svg ", f'<svg role="img" aria-label="{escape(self.title, quote=True)}" ', 1)

    @property
    def json(self) -> str:
        """The specification for a script element: nothing in it can end the element."""
        return embedded_json(self.spec)


def embedded_json(value: Any) -> str:
    """JSON that can stand in a script element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def vega_bundle() -> str:
    """Vega, Vega-Lite and vega-embed as one script that defines `vegaEmbed`."""
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VERSION)
    return f"(() => {{'use strict';{bundle}}})();"


def chart(
    name: str,
    title: str,
    columns: dict[str, str],
    rows: Rows,
    layers: Sequence[Spec],
    size: tuple[int, int] = (460, 320),
) -> Chart:
    """A chart of layers that draw `rows` (data set "values") and what the page chooses ("chosen").

    columns: title of each column of the table of its values.
    """
    spec: Spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": title,
        "width": size[0],
        "height": size[1],
        "autosize": {"type": "fit", "contains": "padding"},
        "background": None,
        "padding": 4,
        "datasets": {"values": rows, "chosen": []},
        "layer": list(layers),
        "config": _CONFIG,
    }
    return Chart(name, title, spec, columns, rows)


def numbers(field: str, title: str, **more: Any) -> Spec:
    """An axis of numbers; more: other keys of the channel."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def run_colour(runs: Sequence[str]) -> Spec:
    """The colour of each run; the style sheet has those of dark pages."""
    names = list(runs)
    colours = [f"var(--run-{n % len(_LIGHT)}, {_LIGHT[n % len(_LIGHT)]})" for n in range(len(names))]
    return {"field": "run", "type": "nominal", "scale": {"domain": names, "range": colours}}


def run_dash(runs: Sequence[str]) -> Spec:
    """The dash of each run: colours alone would leave out who does not see them."""
    # After six runs colours come again, with other dashes.
    dashes = [_DASHES[(n + n // len(_LIGHT)) % len(_DASHES)] for n in range(len(runs))]
    return {"field": "run", "type": "nominal", "scale": {"domain": list(runs), "range": dashes}}


def lines(runs: Sequence[str], x: Spec, y: Spec, columns: dict[str, str], **more: Any) -> list[Spec]:
    """A line a run, with points that show their values near the pointer and are read by screen readers."""
    encoding = {"x": x, "y": y, "color": run_colour(runs)}
    words = [
        f"'{title} ' + (isNumber(datum.{field}) ? format(datum.{field}, '.3~g') : datum.{field})"
        for field, title in columns.items()
    ]
    mark = {"type": "line", "strokeWidth": 2, "aria": False, **more}
    points = {
        "data": {"name": "values"},
        "transform": [{"calculate": " + ', ' + ".join(words), "as": "words"}],
        "params": [
            {
                "name": "near",
                "select": {"type": "point", "on": "pointerover", "nearest": True, "clear": "pointerout"},
            }
        ],
        "mark": {"type": "point", "filled": True, "size": 60},
        "encoding": encoding
        | {
            "opacity": {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0},
            "description": {"field": "words", "type": "nominal"},
            "tooltip": tooltip(columns),
        },
    }
    line = {"data": {"name": "values"}, "mark": mark, "encoding": encoding | {"strokeDash": run_dash(runs)}}
    return [line, points]


def tooltip(columns: dict[str, str]) -> list[Spec]:
    """What is shown near the pointer: the columns by their titles."""
    return [{"field": field, "title": title} for field, title in columns.items()]


def chosen(runs: Sequence[str], x: str, y: str) -> Spec:
    """Where the threshold that the reader chose lies on each run's curve."""
    return {
        "name": "chosen",
        "data": {"name": "chosen"},
        "mark": {
            "type": "point",
            "shape": "diamond",
            "filled": True,
            "size": 170,
            "stroke": _INK,
            "strokeWidth": 1.2,
            "aria": False,  # the table beside the slider says the same
        },
        "encoding": {
            "x": {"field": x, "type": "quantitative"},
            "y": {"field": y, "type": "quantitative"},
            "color": run_colour(runs),
            "tooltip": tooltip({"run": "run", "threshold": "threshold", x: x, y: y}),
        },
    }


def diagonal() -> Spec:
    """The line from (0, 0) to (1, 1)."""
    return {
        "data": {"values": [{"a": 0, "b": 0}, {"a": 1, "b": 1}]},
        "mark": {
            "type": "line",
            "strokeDash": [2, 3],
            "strokeWidth": 1,
            "color": _INK,
            "opacity": 0.6,
            "aria": False,
        },
        "encoding": {
            "x": {"field": "a", "type": "quantitative"},
            "y": {"field": "b", "type": "quantitative"},
        },
    }
