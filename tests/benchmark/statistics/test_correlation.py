"""Rank correlation with weights is that of units written out as often as they weigh."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmark.statistics.correlation import correlation, spearman

UNITS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=12)


@given(UNITS)
def test_weights_count_units(units):
    x, y, weights = (np.array(each, dtype=float) for each in zip(*units, strict=True))
    written = [np.repeat(each, weights.astype(int)) for each in (x, y)]
    found = spearman(x, y, weights[None])[0] if weights.sum() else 0.0
    if min((np.ptp(each) if len(each) else 0) for each in written) == 0:
        assert found == pytest.approx(0, abs=1e-9)
    else:
        assert found == pytest.approx(stats.spearmanr(*written).statistic, abs=1e-9)


def test_an_interval_holds_the_value_and_p_is_of_the_null():
    generator = np.random.default_rng(1)
    x = generator.random(72)
    runs = [(x, x + generator.normal(0, 0.3, 72)) for _ in range(3)]
    found = correlation(runs)
    assert 0 < found.low < found.value < found.high < 1 and found.p < 0.01
    assert correlation(runs, null=found.value).p == pytest.approx(1)
    assert (found.seeds, found.examples) == (3, 72)


def test_the_interval_covers_the_true_correlation():
    """Of 200 samples of 60 independent units, about 95 % hold 0."""
    generator = np.random.default_rng(2)
    covered = [
        (found := correlation([(generator.random(60), generator.random(60))])).low <= 0 <= found.high
        for _ in range(200)
    ]
    assert 0.88 <= np.mean(covered) <= 0.99
