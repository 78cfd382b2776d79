"""Zero-shot accuracies with their standard errors over questions, and their mean over tasks."""

from collections.abc import Collection, Sequence
from math import sqrt

import numpy as np
from tabulate import tabulate

from benchmark.reports.rows import MISSING, TableRow
from benchmark.statistics.comparison import Load

ABOUT = (
    "Accuracy in percent ± its standard error over the questions, sqrt(p (1 - p) / (n - 1)); questions are the first n "
    "of a task. NAME_norm: by log-likelihood over the characters of a choice. mean: over the tasks, by the plain "
    "log-likelihood; its standard error takes the tasks as independent. − dense: question by question, where both kept "
    "their answers."
)


def section(table: Sequence[TableRow], load: Load) -> str:
    """Markdown table of the rows that were asked zero-shot questions; empty without any."""
    asked = [row for row in table if questions(row)]
    if not asked:
        return ""
    names = list(dict.fromkeys(name for row in asked for name in accuracies(row)))
    heads = ["method", *names, "mean", "− dense"]
    tasks = list(dict.fromkeys(task for row in asked for task in questions(row)))
    lines = [
        [
            row.label,
            *(_cell(accuracies(row).get(name)) for name in names),
            _cell(mean(row, tasks)),
            _cell(against_dense(row, tasks, load), sign="+"),
        ]
        for row in asked
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


def against_dense(row: TableRow, tasks: Collection[str], load: Load) -> tuple[float, float] | None:
    """Mean over tasks of a row's accuracy less the dense one's, and its standard error, in percent.

    None for the dense row itself, and where one of the two did not keep its answers to the same questions.
    """
    ours, theirs = ([load(record) or {} for record in each] for each in (row.records, row.dense))
    if row.records == row.dense or not ours or not theirs:
        return None
    gaps = []
    for task in tasks:
        hits = [[each[task] for each in arrays if task in each] for arrays in (ours, theirs)]
        if [len(each) for each in hits] != [len(ours), len(theirs)] or len({len(h) for each in hits for h in each}) > 1:
            return None
        gaps.append(100 * (np.mean(hits[0], 0) - np.mean(hits[1], 0)))
    errors = [gap.std(ddof=1) / sqrt(len(gap)) if len(gap) > 1 else float("nan") for gap in gaps]
    total = sqrt(sum(error**2 for error in errors)) / len(gaps)
    return float(np.mean([gap.mean() for gap in gaps])), total


def _cell(found: tuple[float, float] | None, sign: str = "") -> str:
    return MISSING if found is None else f"{found[0]:{sign}.1f} ± {found[1]:.1f}"
