"""The short table that the README shows: the rows of one task at one size, beside the dense model."""

from typing import Any

from tabulate import tabulate

from benchmark.reports.page.gather import Contents
from benchmark.reports.rows import MISSING
from benchmark.statistics.intervals import Interval

SIZE = 80.0  # where methods differ


def markdown(contents: Contents, size: float = SIZE) -> str:
    """Tables of all tasks of the suite `glue` that have a row of that size: method, size, score, measured speed-up."""
    parts = []
    for key, about in contents.tasks.items():
        rows = [row for row in contents.rows if f"{row['suite']}/{row['task']}" == key and row["suite"] == "glue"]
        sized = [row for row in rows if row["size"] == size]
        if not sized:
            continue
        dense = [row for row in rows if row["row"] == "dense"]
        heads = ["method", "encoder removed", f"{about['metric']} [95 %]", "time ÷"]
        table = tabulate([_line(row, _most(rows)) for row in dense + sized], heads, "github", disable_numparse=True)
        parts.append(f"**{key.split('/')[1]}**. {about['about']}\n\n{table}")
    return "\n\n".join(parts) + "\n"


def _most(rows: list[dict[str, Any]]) -> int:
    """Seeds of the row that has most."""
    return max(len(row["seeds"]) for row in rows)


def _line(row: dict[str, Any], seeds: int) -> list[str]:
    """Cells of a row; a dagger marks one that lacks some of so many seeds."""
    size = f"{row['size']:g} %" if row["size"] else MISSING
    time = MISSING if row["time"] is None else f"{100 / row['time']:.1f} ×"
    return [row["method"] + " †" * (len(row["seeds"]) < seeds), size, interval(row["score"]), time]


def interval(found: dict[str, Any] | None, sign: bool = False) -> str:
    """A gathered interval as text."""
    if found is None:
        return MISSING
    numbers = {name: found[name] for name in ("value", "low", "high", "seeds", "examples")}
    return Interval(**numbers, p=1.0 if found["known"] else None).text(1, sign)
