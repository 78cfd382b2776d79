"""Zero-shot accuracies with their standard errors over questions, and their mean over tasks."""

from collections.abc import Collection, Sequence
from math import sqrt

from tabulate import tabulate

from benchmark.reports.rows import MISSING, TableRow

ABOUT = (
    "Accuracy in percent ± its standard error over the questions, sqrt(p (1 - p) / (n - 1)); questions are the first n "
    "of a task. NAME_norm: by log-likelihood over the characters of a choice. mean: over the tasks, by the plain "
    "log-likelihood; its standard error takes the tasks as independent."
)


def section(table: Sequence[TableRow]) -> str:
    """Markdown table of the rows that were asked zero-shot questions; empty without any."""
    asked = [row for row in table if questions(row)]
    if not asked:
        return ""
    names = list(dict.fromkeys(name for row in asked for name in accuracies(row)))
    heads = ["method", *names, "mean"]
    tasks = {task for row in asked for task in questions(row)}
    lines = [
        [row.label, *(_cell(accuracies(row).get(name)) for name in names), _cell(mean(row, tasks))] for row in asked
    ]
    return str(tabulate(lines, heads, "github", disable_numparse=True))


def questions(row: TableRow) -> dict[str, int]:
    """Questions that each task of a row asked."""
    found: dict[str, int] = {}
    for record in row.records:
        found |= record.outcome.report.get("zero_shot_rows", {}) if record.outcome else {}
    return found


def accuracies(row: TableRow) -> dict[str, tuple[float, float]]:
    """Accuracy, mean over seeds, and standard error of each task, in percent; and of `NAME_norm`."""
    found = {}
    for task, count in questions(row).items():
        for name in (task, f"{task}_norm"):
            if stats := row.metric(name):
                found[name] = (stats.mean, standard_error(stats.mean, count))
    return found


def standard_error(percent: float, count: int) -> float:
    """Of a share of `count` questions, in percent; NaN for a single one."""
    return sqrt(percent * (100 - percent) / (count - 1)) if count > 1 else float("nan")


def mean(row: TableRow, tasks: Collection[str]) -> tuple[float, float] | None:
    """Accuracy over tasks by plain log-likelihood, and its standard error; None where the row lacks one of them."""
    found = [each for name, each in accuracies(row).items() if name in tasks]
    if len(found) < len(tasks):
        return None
    return sum(p for p, _ in found) / len(found), sqrt(sum(error**2 for _, error in found)) / len(found)


def _cell(found: tuple[float, float] | None) -> str:
    return MISSING if found is None else f"{found[0]:.1f} ± {found[1]:.1f}"
