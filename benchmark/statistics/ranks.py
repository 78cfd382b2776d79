"""How often one method does better than another over tasks and seeds, and which place it takes, with intervals.

As in rliable (Agarwal et al. 2021): seeds are drawn anew within each task, because tasks are what was chosen.
"""

from collections.abc import Sequence

import numpy as np

from benchmark.statistics.intervals import LEVEL, RESAMPLES, Interval


def probability_of_improvement(
    ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], draw: int = 0
) -> Interval:
    """P(a run of ours does better than one of theirs), mean over tasks; ties count half.

    Args:
        ours, theirs: scores of each task's seeds, more is better.
        draw: seed of the resampling.
    """
    generator = np.random.default_rng(draw)
    drawn = np.mean([_improvement(generator, a, b, RESAMPLES) for a, b in zip(ours, theirs, strict=True)], axis=0)
    value = float(np.mean([_better(np.asarray(a), np.asarray(b)) for a, b in zip(ours, theirs, strict=True)]))
    return _interval(value, drawn, min(len(a) for a in (*ours, *theirs)))


def _improvement(
    generator: np.random.Generator, ours: Sequence[float], theirs: Sequence[float], times: int
) -> np.ndarray:
    left, right = (_drawn(generator, np.asarray(each), times) for each in (ours, theirs))
    return np.array([_better(a, b) for a, b in zip(left, right, strict=True)])


def _better(ours: np.ndarray, theirs: np.ndarray) -> float:
    difference = ours[:, None] - theirs[None]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def _drawn(generator: np.random.Generator, values: np.ndarray, times: int) -> np.ndarray:
    return values[generator.integers(len(values), size=(times, len(values)))]


def mean_ranks(scores: Sequence[Sequence[Sequence[float]]], draw: int = 0) -> list[Interval]:
    """Mean rank over tasks of each method, 1 the best, equal scores share theirs.

    Args:
        scores: `[task][method][seed]`, more is better.
        draw: seed of the resampling.
    """
    from scipy.stats import rankdata

    generator = np.random.default_rng(draw)
    values, drawn = [], []
    for task in scores:
        means = np.array([[np.mean(method) for method in task]])
        many = np.stack([_drawn(generator, np.asarray(method), RESAMPLES).mean(1) for method in task], axis=1)
        values.append(rankdata(-means, axis=1)[0])
        drawn.append(rankdata(-many, axis=1))
    seeds = min(len(method) for task in scores for method in task)
    mean, spread = np.mean(values, axis=0), np.mean(drawn, axis=0)
    return [_interval(float(mean[i]), spread[:, i], seeds) for i in range(len(mean))]


def _interval(value: float, drawn: np.ndarray, seeds: int) -> Interval:
    if seeds < 2:  # one seed says nothing of how seeds vary
        return Interval(value, value, value, seeds, 0, None)
    low, high = np.percentile(drawn, (50 * (1 - LEVEL), 50 * (1 + LEVEL)))
    return Interval(value, float(low), float(high), seeds, 0, None)
