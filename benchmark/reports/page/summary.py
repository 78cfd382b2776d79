"""The short table that the README shows: rows of one size on all tasks of the suite `glue`, beside the dense model."""

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
Rows = dict[str, dict[str, Any]]  # of one task, by method


def markdown(contents: Contents, size: float = SIZE) -> str:
    """One table, a line per method and a column per task; then what each task's numbers stand on."""
    names = [key.removeprefix("glue/") for key in contents.tasks if key.startswith("glue/")]
    tasks = {name: rows for name in names if (rows := _rows(contents, name, size))}
    if not tasks:
        return ""
    timed = max(tasks, key=lambda task: sum(row["time"] is not None for row in tasks[task].values()))
    scores = [f"{task}: {contents.tasks[f'glue/{task}']['metric']} [95 %]" for task in tasks]
    heads = [f"{size:g} % of the encoder removed", *scores, f"time speed-up, batch 32, {timed}"]
    methods = dict.fromkeys(method for rows in tasks.values() for method in rows)
    lines = [[m, *(_score(rows.get(m)) for rows in tasks.values()), _time(tasks[timed].get(m))] for m in methods]
    about = [f"- **{task}**: {contents.tasks[f'glue/{task}']['about_sizes'][f'{size:g}']}" for task in tasks]
    return "\n\n".join([tabulate(lines, heads, "github", disable_numparse=True), MARKS, "\n".join(about)]) + "\n"


def _rows(contents: Contents, task: str, size: float) -> Rows:
    """Rows of a task at that size after the dense one; none where there is no such row."""
    rows = [row for row in contents.rows if (row["suite"], row["task"]) == ("glue", task) and is_plain(row["row"])]
    sized = {row["method"]: row for row in rows if row["size"] == size}
    return {row["row"]: row for row in rows if row["row"] == "dense"} | sized if sized else {}


def _score(row: dict[str, Any] | None) -> str:
    """A score with its interval; a dagger marks a row that lacks seeds."""
    return row["score_text"] + " †" * row["lacking"] if row else MISSING


def _time(row: dict[str, Any] | None) -> str:
    return f"{100 / row['time']:.1f} ×" if row and row["time"] is not None else MISSING
