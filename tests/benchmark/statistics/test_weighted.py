"""Weighted metrics are the plain ones of the sample that the weights stand for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.statistics.weighted import FROM_GUESSES, metric_of
from benchmark.tasks.metrics import METRICS


def sample(seed: int, regression: bool, examples: int = 40):
    generator = np.random.default_rng(seed)
    truth = generator.normal(size=examples) if regression else generator.integers(2, size=examples)
    noise = generator.normal(size=(2, examples))
    guess = truth + noise if regression else np.where(noise > 0.5, 1 - truth, truth)
    return guess, truth, generator.integers(0, 4, size=(3, examples)).astype(float)


@pytest.mark.parametrize("name", [name for name in FROM_GUESSES if name != "spearman"])
@given(st.integers(0, 10**6))
def test_equals_the_metric_of_the_repeated_sample(name, seed):
    guess, truth, weights = sample(seed, regression=name in ("pearson", "mean_squared_error"))
    found = metric_of(name, [{"prediction": g, "reference": truth} for g in guess], [0.0, 0.0])(weights)
    for row, times in zip(found, weights.astype(int), strict=True):
        drawn = np.repeat(np.arange(len(truth)), times)
        for value, each in zip(row, guess, strict=True):
            plain = (100 if METRICS[name].percent else 1) * METRICS[name].function(
                truth[drawn].tolist(), each[drawn].tolist()
            )
            assert value == pytest.approx(plain, abs=1e-6)


@given(st.integers(0, 10**6), st.sampled_from([-9, -7, 0, 6]), st.sampled_from([0.0, 1.0, 1e3]))
def test_pearson_s_knows_no_unit(seed, power, shift):
    guess, truth, weights = sample(seed, regression=True)
    scaled = [{"prediction": 10.0**power * (g + shift), "reference": 10.0**power * (truth + shift)} for g in guess]
    found, moved = (
        metric_of("pearson", each, [0.0, 0.0])(weights + 1)
        for each in ([{"prediction": g, "reference": truth} for g in guess], scaled)
    )
    assert moved == pytest.approx(found, abs=1e-6)


def test_spearman_of_the_sample_itself_is_exact():
    guess, truth, _ = sample(3, regression=True)
    found = metric_of("spearman", [{"prediction": guess[0], "reference": truth}], [0.0])(np.ones((1, len(truth))))
    assert found[0, 0] == pytest.approx(100 * METRICS["spearman"].function(truth.tolist(), guess[0].tolist()))


def test_perplexity_and_named_scores_give_what_records_say():
    nll, hits = np.array([40.0, 52.0, 44.0]), np.array([1, 0, 1])
    ones = np.ones((1, 3))
    assert metric_of("perplexity", [{"nll": nll}], [31.5])(ones)[0, 0] == pytest.approx(31.5)
    assert metric_of("piqa", [{"piqa": hits}], [66.6667])(ones)[0, 0] == pytest.approx(66.6667)
    assert metric_of("accuracy", [{"nll": nll}], [1.0]) is None


def test_macro_f1_of_three_classes_is_that_of_the_repeated_sample():
    generator = np.random.default_rng(1)
    truth = generator.integers(3, size=60)
    guess = np.where(generator.random((2, 60)) > 0.4, truth, generator.integers(3, size=(2, 60)))
    weights = generator.integers(1, 4, size=(3, 60)).astype(float)  # every class stays in every resample
    arrays = [{"prediction": each, "reference": truth} for each in guess]
    found = metric_of("macro_f1", arrays, [0.0, 0.0])(weights)
    for row, times in zip(found, weights.astype(int), strict=True):
        drawn = np.repeat(np.arange(60), times)
        for value, each in zip(row, guess, strict=True):
            assert value == pytest.approx(100 * METRICS["macro_f1"].function(truth[drawn], each[drawn]))
