"""The number that a condition is of, from the records of its rows."""

import logging
from collections.abc import Iterable, Sequence
from math import inf, isfinite
from pathlib import Path

from benchmark.grid.cells import Cell
from benchmark.records.schema import Record
from benchmark.records.store import Store
from benchmark.reports.attention.heads import Heads, association, heads_of
from benchmark.reports.claims.declared import Condition
from benchmark.reports.claims.quantities import HEADS, METRIC, PLANNED, QUANTITIES
from benchmark.reports.differences import metric_of
from benchmark.statistics.comparison import Load, difference, ratio_of, score
from benchmark.statistics.intervals import Interval, over_runs, over_seeds
from vtrans.errors import SuiteError

log = logging.getLogger(__name__)


def number(
    condition: Condition, task: str, ours: dict[Cell, Record], theirs: dict[Cell, Record], root: Path, load: Load
) -> Interval | None:
    """What a condition is of on one task; None where records lack it, or two rows share no seed.

    nan where a divisor is 0.

    Args:
        condition: one of a claim.
        task: the task.
        ours, theirs: records of its row and of the row that it is compared with; the latter may be empty.
        root: the results folder.
        load: reads predictions.
    """
    if condition.quantity == METRIC:
        return _finite(_score(condition, task, list(ours.values()), list(theirs.values()), load))
    if condition.quantity in HEADS:
        runs = [heads for cell, record in ours.items() if (heads := _probed(cell, record, root))]
        return association(runs, HEADS[condition.quantity], null=condition.bound)
    left = _of_seeds(condition.quantity, ours.values())
    values = _paired(condition, left, _of_seeds(condition.against_quantity or condition.quantity, theirs.values()))
    found = _finite(over_seeds(values, condition.bound)) if values else None
    return found and (found if condition.compared else found.within(0.0, _most(condition.quantity)))


def _most(quantity: str) -> float:
    """What a count or share cannot pass."""
    return 100.0 if quantity.endswith("%") else inf


def _finite(found: Interval | None) -> Interval | None:
    """An interval, or where its number is none nan without evidence."""
    if found is None or isfinite(found.value):
        return found
    nan = float("nan")
    return Interval(nan, nan, nan, found.seeds, 0, None)


def planned(condition: Condition, ours: Sequence[Cell], theirs: Sequence[Cell]) -> Interval | None:
    """The same of what follows from schedules and shapes alone."""
    left, right = ({cell.seed: PLANNED[condition.quantity](cell) for cell in each} for each in (ours, theirs))
    values = _paired(condition, left, right)
    return over_runs(values) if values else None


def _score(
    condition: Condition, task: str, ours: Sequence[Record], theirs: Sequence[Record], load: Load
) -> Interval | None:
    metric = metric_of(task)
    if not condition.against:
        return score(metric, ours, load, condition.bound)
    return difference(metric, ours, theirs, load, condition.bound, condition.relation == "ratio")


def _paired(condition: Condition, ours: dict[int, float], theirs: dict[int, float]) -> list[float]:
    """The number of each seed, or ours against theirs of each that both have."""
    if not condition.compared:
        return list(ours.values())
    pairs = [(ours[seed], theirs[seed]) for seed in ours.keys() & theirs.keys()]
    ratio = condition.relation == "ratio"
    return [ratio_of(a, b) if ratio else a - b for a, b in pairs]


def _of_seeds(quantity: str, records: Iterable[Record]) -> dict[int, float]:
    found = {r.seed: QUANTITIES[quantity](r.outcome) for r in records if r.outcome}
    return {seed: value for seed, value in found.items() if value is not None}


def _probed(cell: Cell, record: Record, root: Path) -> Heads | None:
    """The heads of a run; a damaged file is named in a warning and left out."""
    try:
        return heads_of(Store(root, cell.suite, cell.preset.name).path(cell), record)
    except SuiteError as error:
        log.warning("left out: %s", error)
        return None
