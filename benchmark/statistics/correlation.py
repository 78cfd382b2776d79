"""Rank correlation over units that all runs share, with an interval over runs and units."""

from collections.abc import Sequence

import numpy as np

from benchmark.statistics.intervals import Interval, bootstrap


def spearman(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spearman's rho where each unit counts as often as its weight says; 0 where a side is constant.

    Args:
        x, y: values of the units, `(units,)`.
        weights: how often each is drawn, `(resamples, units)`.

    Returns:
        `(resamples,)`.
    """
    left, right = (_centred(_ranks(each, weights), weights) for each in (x, y))
    across, own = (weights * left * right).sum(1), (weights * left**2).sum(1) * (weights * right**2).sum(1)
    found: np.ndarray = np.where(own > 0, across / np.sqrt(np.where(own > 0, own, 1.0)), 0.0)
    return found


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean ranks among the drawn units, `(resamples, units)`; units of one value share theirs."""
    below, same = values[None] < values[:, None], values[None] == values[:, None]
    found: np.ndarray = weights @ below.T + (weights @ same.T + 1) / 2
    return found


def _centred(ranks: np.ndarray, weights: np.ndarray) -> np.ndarray:
    found: np.ndarray = ranks - (weights * ranks).sum(1, keepdims=True) / weights.sum(1, keepdims=True)
    return found


def correlation(runs: Sequence[tuple[np.ndarray, np.ndarray]], null: float = 0.0) -> Interval:
    """Mean over runs of the rank correlation of two values of the same units; its `p` is of being `null`.

    Runs that start from one pre-trained model share their units, such as its heads, so that units are drawn for all
    runs together; see `bootstrap`.
    """
    units = len(runs[0][0])
    return bootstrap(lambda w: np.stack([spearman(x, y, w) for x, y in runs], 1), None, len(runs), units, null)
