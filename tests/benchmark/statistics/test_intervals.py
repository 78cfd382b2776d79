"""Intervals cover what they should, and nothing is made of one seed."""

import numpy as np
import pytest

from benchmark.statistics.intervals import _spread, adjusted, bootstrap, mean_of, over_seeds, p_text
from benchmark.statistics.ranks import mean_ranks, probability_of_improvement


def hits(shares: np.ndarray, generator: np.random.Generator, examples: int):
    found = (generator.random((len(shares), examples)) < shares[:, None]).astype(float)
    return lambda weights: 100 * (weights @ found.T) / weights.sum(1, keepdims=True)


@pytest.mark.parametrize(("seeds", "deviation"), [(1, 0.0), (2, 0.03), (3, 0.0), (3, 0.05)])
def test_covers_the_true_mean_as_often_as_it_says(seeds, deviation):
    covered, trials = 0, 100
    for trial in range(trials):
        generator = np.random.default_rng([trial, seeds])
        shares = np.clip(0.8 + deviation * generator.normal(size=seeds), 0, 1)
        found = bootstrap(hits(shares, generator, 400), None, seeds, 400)
        covered += found.low <= 80 <= found.high
    # Seeds that do not differ at all, on examples of which none is hard, are the one case that is taken too carefully.
    assert 0.9 <= covered / trials <= (1.0 if seeds == 3 and not deviation else 0.99)


@pytest.mark.parametrize(("together", "alone"), [(0.0, 0.0), (1.5, 0.0), (1.5, 2.0), (0.0, 1.0)])
def test_what_seeds_and_examples_do_together_counts_once(together, alone):
    """Three seeds 2 apart; resamples move all of them by `together`, and each for itself by `alone`."""
    signs = np.array([[(-1) ** (bin(row & column).count("1")) for column in (1, 2, 4, 7)] for row in range(8)])
    values = np.array([80.0, 82.0, 84.0])
    variance, freedom = _spread(values, values + together * signs[:, :1] + alone * signs[:, 1:])
    assert variance == pytest.approx(together**2 + 4 / 3)  # the part of single seeds is in their variance already
    assert freedom == pytest.approx(2 * variance**2 / (4 / 3) ** 2)


def test_there_are_no_fewer_degrees_of_freedom_than_seeds_less_one():
    values, opposed = np.array([80.0, 82.0, 84.0]), np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]])
    variance, freedom = _spread(values, values + opposed)
    assert variance == pytest.approx(4 / 3 - 1 / 3) and freedom == 2


def test_differing_seeds_widen_the_interval():
    generator = np.random.default_rng(0)
    same = bootstrap(hits(np.array([0.8, 0.8, 0.8]), generator, 2000), None, 3, 2000)
    apart = bootstrap(hits(np.array([0.7, 0.8, 0.9]), generator, 2000), None, 3, 2000)
    assert apart.high - apart.low > 3 * (same.high - same.low)
    # The mean of three seeds that are 10 apart deviates by 5.8; Student's quantile of two degrees of freedom is 4.3.
    assert (apart.high - apart.low) / 2 == pytest.approx(5.8 * 4.3, rel=0.2)


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0004, "< 0.001"),
        (0.012, "0.012"),
        (0.04973, "0.0497"),
        (0.0503, "0.0503"),
        (0.04996, "0.04996"),
        (0.0506, "0.051"),
        (1.0, "1.000"),
    ],
)
def test_a_p_value_says_on_which_side_of_the_level_it_is(p, text):
    assert p_text(p) == text


def test_a_mean_of_tasks_adds_their_variances():
    each = [over_seeds([80.0, 82.0, 84.0], 80.0), over_seeds([60.0, 61.0, 62.0], 80.0)]
    mean = mean_of(each, 70.0)
    assert mean.value == 71.5 and mean.seeds == 3
    assert mean.deviation == pytest.approx((4 / 3 + 1 / 3) ** 0.5 / 2)
    assert 2 < mean.freedom < 4 and mean.low < 70 < mean.high and mean.p > 0.05  # Welch and Satterthwaite's
    assert mean_of(each[:1], 80.0) == each[0]
    assert not mean_of([each[0], over_seeds([60.0])]).known


def test_a_divisor_that_may_be_0_gives_no_interval():
    """Matthews' correlation of a weak model is 0 in some resamples."""

    def often_0(weights):
        return (weights[:, :3].sum(1) % 3)[:, None].repeat(3, axis=1) * 1.0

    def one(weights):
        return np.ones((len(weights), 3))

    found = bootstrap(one, lambda weights: often_0(weights) + (len(weights) == 1), 3, 90, ratio=True)
    assert found.p is None and not found.known and adjusted([found.p, 0.01]) == [None, 0.01]


def test_a_paired_difference_is_narrower_than_two_intervals():
    generator = np.random.default_rng(0)
    common = generator.random((1, 800))
    ours, theirs = ((common < share).astype(float) for share in (0.82, 0.80))

    def of(found):
        return lambda weights: 100 * (weights @ found.T) / weights.sum(1, keepdims=True)

    paired, alone = bootstrap(of(ours), of(theirs), 1, 800), bootstrap(of(ours), None, 1, 800)
    assert paired.high - paired.low < 0.6 * (alone.high - alone.low)
    assert paired.excludes_zero
    same = bootstrap(of(ours), of(ours), 3, 800)
    assert same.p is None and not same.known  # no evidence, however many examples


def test_one_seed_has_no_interval_over_seeds():
    assert not over_seeds([3.0]).known
    assert over_seeds([3.0]).text() == "3.0"
    assert not probability_of_improvement([[1.0]], [[0.0]]).known
    assert not over_seeds([100 * a / 872 - 100 * b / 872 for a, b in ((795, 777), (787, 769), (803, 785))]).known
    three = over_seeds([1.0, 2.0, 3.0])
    assert three.low < 0 < three.high and three.text(sign=True).startswith("+2.0 [")


def test_ranks_and_improvement():
    clear = [[[9.0, 9.1, 9.2], [5.0, 5.1, 5.2], [1.0, 1.1, 1.2]]] * 2
    assert [r.value for r in mean_ranks(clear)] == [1.0, 2.0, 3.0]
    assert probability_of_improvement([t[0] for t in clear], [t[1] for t in clear]).value == 1.0
    even = probability_of_improvement([[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]])
    assert even.value == 0.5 and even.low < 0.5 < even.high


def test_more_comparisons_ask_for_more():
    assert adjusted([0.01, None, 0.04]) == pytest.approx([0.02, None, 0.04])
    assert adjusted([None]) == [None]


def test_p_tells_far_from_near_however_few_the_resamples():
    generator = np.random.default_rng(1)
    found = [bootstrap(hits(np.full(3, 0.8), generator, 900), None, 3, 900, null=null) for null in (50.0, 76.0, 80.0)]
    assert found[0].p < 1e-5 < found[1].p < 0.05 < found[2].p
