"""Points of the figures that are printed, from the rows of the page; the page's own script makes the same."""

from collections.abc import Collection
from typing import Any

from benchmark.reports.figures.labels import placed
from benchmark.reports.page.gather import Contents

AXES = {
    "encoder": "encoder parameters left, % (log)",
    "all": "all parameters left, % (log)",
    "macs": "MACs left, % of dense, no padding (log)",
    "time": "measured time left, % of dense, larger batch (log)",
}


def methods_of(contents: Contents) -> list[str]:
    """All methods, in the order of the tables, each once; the dense ones, which come first, are no methods."""
    return list(dict.fromkeys(row["method"] for row in contents.rows))


def pareto_points(
    contents: Contents, suite: str, task: str, axis: str, methods: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Points of a task, of some methods or all; the label of a method stands at its smallest model.

    Points of one size stand side by side: `x` is moved by up to 5 % of itself, and `left` is what is left.
    """
    rows = [row for row in contents.rows if (row["suite"], row["task"]) == (suite, task)]
    rows = [row for row in rows if row["score"] and row[axis] and (not methods or row["method"] in methods)]
    last = {row["method"]: row["row"] for row in sorted(rows, key=lambda row: -row[axis])}
    places = {method: place for place, method in enumerate(last)}
    middle = (len(places) - 1) / 2
    found = [
        {
            "x": row[axis] * (1 + 0.05 * (places[row["method"]] - middle) / max(1, middle)),
            "left": row[axis],
            "y": row["score"]["value"],
            "low": row["score"]["low"],
            "high": row["score"]["high"],
            "method": row["method"],
            "row": row["row"],
            "label": row["method"] if last[row["method"]] == row["row"] else "",
        }
        for row in rows
    ]
    return placed(found)
