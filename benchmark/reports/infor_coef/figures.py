"""Figures 2 to 4 of the Infor-Coef paper from the records, in the style of all figures."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmark.records.schema import Outcome

Found = dict[tuple[str, str], list[Outcome]]
Curves = dict[str, tuple[str, ...]]

STATIC = ("CoFi-s60", "CoFi-s80", "CoFi-s95")
JOINT = ("Infor-Coef-4x@0.5", "Infor-Coef-4x", "Infor-Coef-4x@2")
FIGURE_2: Curves = {
    "dense": ("dense",),
    "CoFi": STATIC,
    "VTrans": ("VTrans-s60", "VTrans-s80", "VTrans-s95"),
    "Transkimmer": ("Transkimmer",),
    "PoWER-BERT": ("PoWER-BERT",),
    "Infor-Coef": (*JOINT, "Infor-Coef-16x"),
    "VTrans+Infor-Coef": ("VTrans+Infor-Coef",),
}
FIGURE_3: Curves = {
    "information bottleneck": JOINT,
    "skim loss": tuple(f"CoFi-s60+Infor-Coef-skim{at}" for at in ("@0.5", "", "@2")),
}
FIGURE_4: Curves = {
    "dynamic only": ("Infor-Coef@0.5", "Infor-Coef", "Infor-Coef@2"),
    "static only": STATIC,
    "joint": (*JOINT, "Infor-Coef-16x"),
}
TITLES = {
    "figure2": "Accuracy against speed-up in MACs, batch padding",
    "figure3": "Information-bottleneck loss against skim loss, on CoFi-s60",
    "figure4": "Dynamic, static and joint pruning",
}


def draw(folder: Path, found: Found, tasks: dict[str, str]) -> list[Path]:
    """Draw all three figures as SVG and PDF, one panel a task; points are means over seeds."""
    from benchmark.reports.figures import charts

    paths = list[Path]()
    for name, curves in {"figure2": FIGURE_2, "figure3": FIGURE_3, "figure4": FIGURE_4}.items():
        panels = {task: _panel(curves, found, task, metric, name == "figure4") for task, metric in tasks.items()}
        spec = charts.side_by_side(panels) | {"title": {"text": TITLES[name], "anchor": "middle"}}
        paths += charts.write_printed(folder, name, spec)
    return paths


def points(curve: Sequence[str], found: Found, task: str, metric: str) -> list[tuple[float, float]]:
    """Speed-up under batch padding and metric of each row of a curve that has records, by speed-up."""
    outcomes = [found[row, task] for row in curve if (row, task) in found]
    return sorted(
        (mean(o.macs.speedup("batch") for o in group), mean(o.metrics[metric] for o in group)) for group in outcomes
    )


def _panel(curves: Curves, found: Found, task: str, metric: str, remaining: bool) -> dict[str, Any]:
    from benchmark.reports.figures import charts
    from benchmark.reports.figures.labels import placed

    drawn = []
    for name, curve in curves.items():
        pairs = points(curve, found, task, metric)
        for place, (speedup, value) in enumerate(pairs):
            x = 1 / speedup if remaining else speedup
            label = name if place == len(pairs) - 1 else ""
            point = {"x": x, "left": x, "y": value, "low": value, "high": value, "label": label}
            drawn.append({**point, "method": name, "row": name})
    title = "MACs left, share of dense" if remaining else "speed-up in MACs, × (log)"
    return charts.pareto(placed(drawn), list(curves), title, metric, logarithmic=not remaining)
