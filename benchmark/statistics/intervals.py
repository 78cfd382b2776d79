"""Intervals by a hierarchical bootstrap: over seeds, and within them over the examples that all models were asked.

Seeds and examples are drawn apart, because every seed answers the same examples. Of S seeds S - 1 are drawn, which
gives the mean's variance without the bias that drawing S has where S is small (Rao and Wu 1988); one seed is not drawn
at all, and its interval is over examples alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95

Statistic = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Interval:
    """A number and where it may lie.

    Attributes:
        value: from all seeds and examples.
        low, high: of 95 %; both the value itself where nothing was drawn.
        seeds: that it is a mean of.
        examples: that were drawn; 0 where only seeds were.
        p: two-sided, of the number being 0 or another that was named; None where none was, or there is no interval.
    """

    value: float
    low: float
    high: float
    seeds: int
    examples: int
    p: float | None

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return self.p is not None or self.low < self.high

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside."""
        return self.known and not self.low <= 0 <= self.high

    def text(self, digits: int = 1, sign: bool = False) -> str:
        """`value [low, high]`, or the value alone."""
        form = f"{'+' if sign else ''}.{digits}f"
        inside = f" [{self.low:{form}}, {self.high:{form}}]" if self.known else ""
        return f"{self.value:{form}}{inside}"


def bootstrap(
    ours: Statistic,
    theirs: Statistic | None,
    seeds: int,
    examples: int,
    null: float = 0.0,
    ratio: bool = False,
    draw: int = 0,
) -> Interval:
    """Interval of a metric's mean over seeds, or of its difference to another model's with the same seeds.

    Args:
        ours, theirs: from weights of examples `(resamples, examples)` to values `(resamples, seeds)`; pass None for
            no difference.
        seeds, examples: how many.
        null: what `p` is of.
        ratio: whether the quotient is asked for in place of the difference.
        draw: seed of the resampling.
    """
    picked = _counts(draw, seeds, seeds - 1) if seeds > 1 else np.ones((RESAMPLES, 1))
    asked = _counts(draw + 1, examples, examples)
    drawn = ((_against(ours, theirs, asked, ratio) * picked).sum(1)) / picked.sum(1)
    value = float(_against(ours, theirs, np.ones((1, examples)), ratio).mean())
    low, high = np.percentile(drawn, (50 * (1 - LEVEL), 50 * (1 + LEVEL)))
    return Interval(value, float(low), float(high), seeds, examples, _two_sided(drawn - null))


def _against(ours: Statistic, theirs: Statistic | None, weights: np.ndarray, ratio: bool) -> np.ndarray:
    if theirs is None:
        return ours(weights)
    return ours(weights) / theirs(weights) if ratio else ours(weights) - theirs(weights)


@lru_cache(maxsize=16)
def _counts(draw: int, units: int, drawn: int) -> np.ndarray:
    """How often each unit is drawn, `(resamples, units)`; the same for all rows of a task."""
    generator = np.random.default_rng(draw)
    found = generator.multinomial(drawn, np.full(units, 1 / units), size=RESAMPLES).astype(float)
    found.setflags(write=False)
    return found


def _two_sided(drawn: np.ndarray) -> float:
    """Twice the smaller tail beyond 0, never less than resamples can tell."""
    below, above = float((drawn <= 0).mean()), float((drawn >= 0).mean())
    return min(1.0, max(2 * min(below, above), 2 / (len(drawn) + 1)))


def over_seeds(values: Sequence[float], null: float = 0.0) -> Interval:
    """Student's interval of a mean over seeds; none of fewer than two, or of seeds that all say the same."""
    from scipy import stats

    array = np.asarray(values, dtype=float)
    value = float(array.mean())
    if len(array) < 2 or np.ptp(array) == 0:
        return Interval(value, value, value, len(array), 0, None)
    spread = stats.sem(array)
    low, high = stats.t.interval(LEVEL, len(array) - 1, value, spread)
    return Interval(value, float(low), float(high), len(array), 0, float(stats.ttest_1samp(array, null).pvalue))


def over_runs(values: Sequence[float]) -> Interval:
    """Mean and range of numbers that are exact in each run, such as counts; what has a range has no `p`."""
    return Interval(float(np.mean(values)), min(values), max(values), len(values), 0, None)


def adjusted(values: Sequence[float | None]) -> list[float | None]:
    """p values after Benjamini and Hochberg, in their order; None stays None."""
    from scipy.stats import false_discovery_control

    known = [i for i, value in enumerate(values) if value is not None]
    found: list[float | None] = [None] * len(values)
    if known:
        for place, value in zip(known, false_discovery_control([values[i] for i in known]), strict=True):
            found[place] = float(value)
    return found
