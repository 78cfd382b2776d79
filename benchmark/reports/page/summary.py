"""The short table that the README shows: the rows of one task at one size, beside the dense model."""

from typing import Any

from tabulate import tabulate

from benchmark.reports.page.gather import Contents
from benchmark.reports.rows import MISSING, is_plain

SIZE = 80.0  # where methods differ
MARKS = (
    "Intervals over seeds and examples; ¹ of one seed, over examples alone; ² over seeds alone, because the records "
    "keep no predictions; † fewer seeds were run than the preset has; ‡ in some seed the model gives every example "
    "the same class."
)


def markdown(contents: Contents, size: float = SIZE) -> str:
    """Tables of all tasks of the suite `glue` that have a row of that size: method, size, score, measured speed-up."""
    parts = []
    for key, about in contents.tasks.items():
        rows = [row for row in contents.rows if f"{row['suite']}/{row['task']}" == key and row["suite"] == "glue"]
        sized = [row for row in rows if row["size"] == size and is_plain(row["row"])]
        if not sized:
            continue
        dense = [row for row in rows if row["row"] == "dense"]
        heads = ["method", "encoder removed", f"{about['metric']} [95 %]", "time speed-up, batch 32"]
        table = tabulate([_line(row) for row in dense + sized], heads, "github", disable_numparse=True)
        parts.append(f"**{key.split('/')[1]}**. {about['about_sizes'][f'{size:g}']}\n\n{table}")
    return "\n\n".join([*parts, MARKS]) + "\n" if parts else ""


def _line(row: dict[str, Any]) -> list[str]:
    """Cells of a row; a dagger marks one that lacks seeds."""
    size = f"{row['size']:g} %" if row["size"] else MISSING
    time = MISSING if row["time"] is None else f"{100 / row['time']:.1f} ×"
    return [row["method"] + " †" * row["lacking"], size, row["score_text"], time]
