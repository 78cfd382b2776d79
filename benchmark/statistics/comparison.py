"""Scores of rows, and their differences to other rows, with intervals, from records and their predictions."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmark.records.predictions import read_predictions
from benchmark.records.schema import Record
from benchmark.statistics.intervals import Interval, Statistic, bootstrap, over_seeds
from benchmark.statistics.weighted import arrays_of, metric_of
from benchmark.tasks.metrics import get_metric

Arrays = dict[str, np.ndarray]
Load = Callable[[Record], Arrays | None]


def loader(root: Path) -> Load:
    """Reads the predictions of records under a results folder, once each; None for a record that has none."""
    known: dict[str, Arrays] = {}

    def load(record: Record) -> Arrays | None:
        """The arrays of a record."""
        if record.outcome is None or record.outcome.predictions is None:
            return None
        path = root / record.preset / record.suite / "runs" / f"{record.outcome.predictions.file}"
        if record.key not in known:
            known[record.key] = read_predictions(path, record.outcome.predictions)
        return known[record.key]

    return load


def score(metric: str, records: Sequence[Record], load: Load, null: float = 0.0) -> Interval | None:
    """A row's mean over seeds, its interval cut at what the metric cannot pass; None where no record has the metric."""
    found = {r.seed: r for r in records if r.outcome and metric in r.outcome.metrics}
    if not found:
        return None
    ours = _statistic(metric, list(found.values()), load)
    if ours is None:
        interval = over_seeds([_value(record, metric) for record in found.values()], null)
    else:
        interval = bootstrap(ours[0], None, len(found), ours[1], null)
    return interval.within(get_metric(metric).lowest, get_metric(metric).highest)


def difference(
    metric: str,
    ours: Sequence[Record],
    theirs: Sequence[Record],
    load: Load,
    null: float = 0.0,
    ratio: bool = False,
) -> Interval | None:
    """Ours less theirs, or over theirs, seed by seed; None without a common seed. Its `p` is of being `null`.

    Over seeds and examples where all records are of the same data and keep predictions, else over seeds alone.
    """
    left, right = ({r.seed: r for r in each if r.outcome and metric in r.outcome.metrics} for each in (ours, theirs))
    seeds = sorted(left.keys() & right.keys())
    if not seeds:
        return None
    pairs = [[each[seed] for seed in seeds] for each in (left, right)]
    found = [_statistic(metric, records, load) for records in pairs]
    if found[0] is None or found[1] is None or found[0][1] != found[1][1] or len(_data(pairs[0] + pairs[1])) > 1:
        values = [(_value(a, metric), _value(b, metric)) for a, b in zip(*pairs, strict=True)]
        return over_seeds([ratio_of(a, b) if ratio else a - b for a, b in values], null)
    return bootstrap(found[0][0], found[1][0], len(seeds), found[0][1], null, ratio)


def ratio_of(ours: float, theirs: float) -> float:
    """Their quotient; nan where the divisor is 0."""
    return ours / theirs if theirs else float("nan")


def _statistic(metric: str, records: Sequence[Record], load: Load) -> tuple[Statistic, int] | None:
    """The metric as a function of the weights of examples, and how many these are."""
    arrays = [load(record) for record in records]
    known = [each for each in arrays if each is not None]
    if len(known) < len(arrays) or len(_data(records)) > 1:
        return None
    names = arrays_of(metric, known)
    sizes = {len(each[name]) for each in known for name in names}  # zero-shot tasks have examples of their own
    found = metric_of(metric, known, [_value(record, metric) for record in records]) if len(sizes) == 1 else None
    return (found, sizes.pop()) if found else None


def _data(records: Sequence[Record]) -> set[str]:
    return {record.data.digest for record in records if record.data}


def _value(record: Record, metric: str) -> float:
    assert record.outcome is not None, "only complete records are compared"
    return record.outcome.metrics[metric]


def is_majority(record: Record, load: Load) -> bool:
    """Whether a classifier gives every example the same class; False where no predictions are kept."""
    arrays = load(record)
    guess = arrays.get("prediction") if arrays else None
    return guess is not None and guess.dtype.kind in "iu" and len(guess) > 1 and bool((guess == guess[0]).all())
