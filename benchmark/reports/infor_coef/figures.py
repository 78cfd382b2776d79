"""Figures 2 to 4 of the Infor-Coef paper from the records, as SVG that is the same for the same records."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from benchmark.records.schema import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    """Draw all three figures, one panel a task; points are means over seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = {"figure2": FIGURE_2, "figure3": FIGURE_3, "figure4": FIGURE_4}
    return [_draw(folder / f"{name}.svg", TITLES[name], curves, found, tasks) for name, curves in jobs.items()]


def points(curve: Sequence[str], found: Found, task: str, metric: str) -> list[tuple[float, float]]:
    """Speed-up under batch padding and metric of each row of a curve that has records, by speed-up."""
    outcomes = [found[row, task] for row in curve if (row, task) in found]
    return sorted(
        (mean(o.macs.speedup("batch") for o in group), mean(o.metrics[metric] for o in group)) for group in outcomes
    )


def _draw(path: Path, title: str, curves: Curves, found: Found, tasks: dict[str, str]) -> Path:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    remaining = path.stem == "figure4"
    with matplotlib.rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "none", "font.size": 9}):
        figure, panels = pyplot.subplots(1, len(tasks), figsize=(3.2 * len(tasks), 3.4), squeeze=False)
        for panel, (task, metric) in zip(panels[0], tasks.items(), strict=True):
            _panel(panel, curves, found, task, metric, remaining)
        handles, labels = _legend(panels[0])
        figure.legend(handles, labels, loc="lower center", ncols=min(4, max(1, len(labels))), frameon=False)
        figure.suptitle(title)
        figure.tight_layout(rect=(0, 0.14, 1, 1))
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)
    return path


def _panel(panel: "Axes", curves: Curves, found: Found, task: str, metric: str, remaining: bool) -> None:
    for index, (name, curve) in enumerate(curves.items()):
        pairs = points(curve, found, task, metric)
        if pairs:
            xs = [1 / x if remaining else x for x, _ in pairs]
            panel.plot(xs, [y for _, y in pairs], "o-", ms=4, lw=1, label=name, color=f"C{index}")
    if not remaining:
        panel.set_xscale("log", base=2)
    panel.set_xlabel("MACs left, share of dense" if remaining else "speed-up in MACs (×)")
    panel.set_ylabel(metric)
    panel.set_title(task)


def _legend(panels: Sequence[Any]) -> tuple[list[Any], list[str]]:
    known: dict[str, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            known.setdefault(label, handle)
    return list(known.values()), list(known)
