"""What a table's scores differ by, with intervals, and the places that methods take over tasks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from benchmark.records.schema import Record
from benchmark.reports.rows import MISSING, TableRow
from benchmark.statistics.comparison import Load, difference, is_majority, score
from benchmark.statistics.intervals import Interval
from benchmark.statistics.ranks import mean_ranks, probability_of_improvement
from benchmark.tasks.metrics import digits, get_metric
from benchmark.tasks.registry import get_task

CONTROLS = ("random", "CoFi")  # what rows are compared with at the same size, beside the dense one
ABOUT = (
    "Intervals are of 95 %, over seeds and the examples that all rows were asked: a bootstrap over examples, and "
    "Student's t for seeds; of one seed over examples alone (¹), of rows without kept predictions over seeds alone "
    "(²). Differences are paired, seed by seed and example by example; of perplexity, negative is better. The "
    "control of a language model is random pruning with adapters, for rows without adapters, too. * the interval "
    "excludes 0; no correction for the number of rows. † fewer seeds were run than the preset has. ‡ in some seed "
    "the model gives every example the same class."
)


@dataclass(frozen=True)
class Line:
    """One row: its score and its differences to the dense row and the controls."""

    label: str
    score: Interval | None
    differences: tuple[Interval | None, ...]
    majority: bool


def lines(task: str, table: Sequence[TableRow], load: Load) -> list[Line]:
    """Lines of a task's rows that have a record, by its first metric."""
    metric, by_row = metric_of(task), {row.row: row.records for row in table}
    found = []
    for row in table:
        if not row.records:
            continue
        against = [row.dense, *(control_of(control, row.row, by_row) for control in CONTROLS)]
        own = [None if _same(row.records, other) else difference(metric, row.records, other, load) for other in against]
        majority = any(is_majority(record, load) for record in row.records)
        found.append(Line(row.label, score(metric, row.records, load), tuple(own), majority))
    return found


def metric_of(task: str) -> str:
    """The metric that rows of a task are compared by."""
    return get_task(task).columns[0]


def size_of(row: str) -> str:
    """The size that a row's name ends with, `-s80`; one that no row has where it names none."""
    match = re.search(r"-s[\d.]+$", row)
    return match[0] if match else " without a size"


def control_of(control: str, row: str, by_row: Mapping[str, Sequence[Record]]) -> Sequence[Record]:
    """Records of a control at a row's size; of language models, whose controls recover by adapters, of that one."""
    names = [f"{control}{adapters}{size_of(row)}" for adapters in ("", "-LoRA")]
    return next((found for name in names if (found := by_row.get(name))), ())


def _same(ours: Sequence[Record], theirs: Sequence[Record]) -> bool:
    return not theirs or {r.key for r in ours} == {r.key for r in theirs}


def section(task: str, table: Sequence[TableRow], load: Load) -> str:
    """The lines as a markdown table."""
    metric = metric_of(task)
    heads = ["method", "seeds", f"{metric} [95 %]", "− dense", *(f"− {control}, same size" for control in CONTROLS)]
    rows = [
        [
            line.label + (" ‡" if line.majority else ""),
            str(line.score.seeds) if line.score else MISSING,
            text(line.score, digits(metric), sign=False),
            *(text(each, digits(metric), sign=True) for each in line.differences),
        ]
        for line in lines(task, table, load)
    ]
    return str(tabulate(rows, heads, "github", disable_numparse=True))


def text(found: Interval | None, places: int, sign: bool) -> str:
    """An interval with its marks: ¹ of one seed, ² over seeds alone, * of a difference that excludes 0."""
    if found is None:
        return MISSING
    star = " *" if sign and found.excludes_zero else ""
    kind = "" if not found.known else "²" if not found.examples else "¹" if found.seeds == 1 else ""
    return found.text(places, sign) + kind + star


def ranks(tables: dict[str, list[TableRow]]) -> str:
    """Mean ranks over tasks of methods at each size, as markdown; empty with fewer than two tasks."""
    scores = {task: _scores(task, table) for task, table in tables.items()}
    sizes = list(dict.fromkeys(size_of(row) for rows in scores.values() for row in rows if "-s" in size_of(row)))
    parts = [_rank_lines(size, scores) for size in sizes]
    rows = [line for part in parts for line in part]
    heads = ["size", "method", "tasks", "mean rank [95 %]", "P(better than random) [95 %]"]
    return str(tabulate(rows, heads, "github", disable_numparse=True)) if rows else ""


def _scores(task: str, table: Sequence[TableRow]) -> dict[str, list[float]]:
    """Scores of each row's seeds, more is better."""
    metric = metric_of(task)
    sign = 1 if get_metric(metric).higher_is_better else -1
    found = {row.row: [sign * r.outcome.metrics[metric] for r in row.records if r.outcome] for row in table}
    return {row: values for row, values in found.items() if values}


def _rank_lines(size: str, scores: dict[str, dict[str, list[float]]]) -> list[list[str]]:
    """Lines of the methods that every task with at least three of this size has."""
    tasks = {task: {row: v for row, v in rows.items() if size_of(row) == size} for task, rows in scores.items()}
    tasks = {task: rows for task, rows in tasks.items() if len(rows) > 2}
    names = [row for row in next(iter(tasks.values()), {}) if all(row in rows for rows in tasks.values())]
    if len(tasks) < 2 or len(names) < 2:
        return []
    found, control = mean_ranks([[rows[name] for name in names] for rows in tasks.values()]), f"random{size}"
    better = {
        name: probability_of_improvement([r[name] for r in tasks.values()], [r[control] for r in tasks.values()])
        for name in names
        if control in names and name != control
    }
    return [
        [size[2:] + " %", name, str(len(tasks)), rank.text(1), better[name].text(2) if name in better else MISSING]
        for name, rank in zip(names, found, strict=True)
    ]
