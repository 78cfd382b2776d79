"""The look of all figures: colours told apart by all eyes, and shapes and line patterns where colour is not seen."""

from collections.abc import Sequence
from typing import Any

# Okabe and Ito's eight, black first; the yellow is left out, which is too light on white.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
DASHES = ([1, 0], [5, 2], [2, 2], [7, 2, 2, 2], [4, 4])
SEQUENTIAL = "blues"
FONT = "DejaVu Sans, Helvetica, Arial, sans-serif"
COLUMN = 302  # width of a paper's column, 8 cm, in points of 1/96 inch


def config() -> dict[str, Any]:
    """Vega-Lite's configuration for print: black on white."""
    text = {"labelFont": FONT, "titleFont": FONT, "labelFontSize": 10, "titleFontSize": 11, "titleFontWeight": "normal"}
    return {
        "font": FONT,
        "axis": {**text, "gridOpacity": 0.25, "gridColor": "#999", "domainColor": "#555", "tickColor": "#555"},
        "legend": text,
        "view": {"stroke": None},
    }


def by_method(methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Scales of colour, shape and line pattern over methods, the same in all figures of a page."""
    domain = list(methods)
    return {
        name: {"domain": domain, "range": [values[i % len(values)] for i in range(len(domain))]}
        for name, values in (("colour", COLOURS), ("shape", SHAPES), ("dash", DASHES))
    }
