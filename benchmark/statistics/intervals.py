"""Intervals over seeds and the examples that all models were asked.

A seed is one training run, and every run is asked the same examples, so that two kinds of chance add up. That of
examples is found by a bootstrap over them, which serves any metric; that of seeds from how much runs differ. Their
interval is Student's, with Satterthwaite's degrees of freedom, since three seeds know little of how seeds vary. One
seed says nothing of that, and its interval is over examples alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

RESAMPLES = 2000
SAME = 1e-3  # records give metrics to four decimals: what differs by less does not differ
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
        deviation: standard error of `value`; None where none is known.
        freedom: degrees of freedom of the deviation.
    """

    value: float
    low: float
    high: float
    seeds: int
    examples: int
    p: float | None
    deviation: float | None = None
    freedom: float = float("inf")

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return self.p is not None or self.low < self.high

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside."""
        return self.known and not self.low <= 0 <= self.high

    def within(self, lowest: float, highest: float) -> "Interval":
        """Cut where the number cannot be."""
        return replace(self, low=max(self.low, lowest), high=min(self.high, highest))

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
    values = _against(ours, theirs, np.ones((1, examples)), ratio)[0]
    drawn = _against(ours, theirs, _counts(draw, examples), ratio)
    if not np.isfinite(drawn).all():  # a ratio whose divisor is 0 in a resample
        value = float(values.mean())
        return Interval(value, value, value, seeds, examples, None)
    variance, freedom = _spread(values, drawn)
    return _student(float(values.mean()), variance, freedom, null, seeds, examples)


def _spread(values: np.ndarray, drawn: np.ndarray) -> tuple[float, float]:
    """Variance of the mean over seeds, and its degrees of freedom.

    Args:
        values: of each seed on all examples, `(seeds,)`.
        drawn: on resampled ones, `(resamples, seeds)`.
    """
    seeds, of_examples = len(values), float(drawn.mean(1).var())
    if seeds == 1:
        return of_examples, float("inf")
    of_seeds = float(values.var(ddof=1)) / seeds
    # What seeds and examples do together is in both; it is the rest of what examples do to single seeds.
    shared = max(0.0, float(drawn.var(0).mean()) - of_examples) / (seeds - 1)
    variance = max(of_examples + of_seeds - shared, of_examples)
    freedom = variance**2 * (seeds - 1) / of_seeds**2 if of_seeds > 0 else float("inf")
    return variance, max(float(seeds - 1), freedom)


def _student(value: float, variance: float, freedom: float, null: float, seeds: int, examples: int) -> Interval:
    """Student's interval; none where nothing varies, as between two classifiers that always give the same class."""
    from scipy import stats

    if variance <= 0:
        return Interval(value, value, value, seeds, examples, None, 0.0)
    deviation = variance**0.5
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * deviation
    p = float(2 * stats.t.sf(abs(value - null) / deviation, freedom))
    return Interval(value, value - reach, value + reach, seeds, examples, p, deviation, freedom)


def mean_of(found: Sequence[Interval], null: float = 0.0) -> Interval:
    """The mean of numbers of different tasks, which vary independently; without an interval where one of them has none.

    Args:
        found: one of each task, at least one.
        null: what `p` is of.
    """
    value, seeds = float(np.mean([each.value for each in found])), min(each.seeds for each in found)
    examples = sum(each.examples for each in found)
    known = [(each.deviation**2 / len(found) ** 2, each.freedom) for each in found if each.deviation is not None]
    if len(known) < len(found):
        return Interval(value, value, value, seeds, examples, None)
    variance = sum(part for part, _ in known)
    spread = sum(part**2 / freedom for part, freedom in known)
    return _student(value, variance, variance**2 / spread if spread else float("inf"), null, seeds, examples)


def _against(ours: Statistic, theirs: Statistic | None, weights: np.ndarray, ratio: bool) -> np.ndarray:
    if theirs is None:
        return ours(weights)
    with np.errstate(divide="ignore", invalid="ignore"):  # a divisor of 0 leaves the ratio without an interval
        return ours(weights) / theirs(weights) if ratio else ours(weights) - theirs(weights)


@lru_cache(maxsize=16)
def _counts(draw: int, examples: int) -> np.ndarray:
    """How often each example is drawn, `(resamples, examples)`; the same for all rows of a task."""
    generator = np.random.default_rng(draw)
    found = generator.multinomial(examples, np.full(examples, 1 / examples), size=RESAMPLES).astype(float)
    found.setflags(write=False)
    return found


def over_seeds(values: Sequence[float], null: float = 0.0) -> Interval:
    """Student's interval of a mean over seeds; none of fewer than two, or of seeds that all say the same."""
    array = np.asarray(values, dtype=float)
    value, seeds = float(array.mean()), len(array)
    if seeds < 2 or float(np.ptp(array)) < SAME * max(1.0, abs(value)):
        same = seeds > 1 and not array.min() < null < array.max()
        return Interval(value, value, value, seeds, 0, None, 0.0 if same else None)
    return _student(value, float(array.var(ddof=1)) / seeds, seeds - 1.0, null, seeds, 0)


def over_runs(values: Sequence[float]) -> Interval:
    """Mean and range of numbers that are exact in each run, such as counts; what has a range has no `p`."""
    return Interval(float(np.mean(values)), min(values), max(values), len(values), 0, None)


def p_text(p: float) -> str:
    """A p value with three decimals, with more where these would not say on which side of 0.05 it is."""
    texts = (f"{p:.{digits}f}" for digits in range(3, 17))
    return "< 0.001" if p < 0.001 else next((text for text in texts if float(text) != 0.05), f"{p:.3f}")


def adjusted(values: Sequence[float | None]) -> list[float | None]:
    """p values after Benjamini and Hochberg, in their order; None stays None."""
    from scipy.stats import false_discovery_control

    known = [i for i, value in enumerate(values) if value is not None]
    found: list[float | None] = [None] * len(values)
    if known:
        for place, value in zip(known, false_discovery_control([values[i] for i in known]), strict=True):
            found[place] = float(value)
    return found
