"""Metrics of many resamples at once: each example weighs as often as it was drawn."""

from collections.abc import Callable

import numpy as np

Array = np.ndarray


def _share(hits: Array, weights: Array) -> Array:
    return np.asarray(100 * (weights @ hits.T) / weights.sum(1, keepdims=True))


def _accuracy(guess: Array, truth: Array, weights: Array) -> Array:
    return _share((guess == truth).astype(float), weights)


def _confusion(guess: Array, truth: Array, weights: Array) -> tuple[Array, Array, Array, Array]:
    """Weights of true positives, false positives, false negatives and true negatives, `(resamples, seeds)` each."""
    told, true = guess == 1, truth == 1
    cells = (told & true, told & ~true, ~told & true, ~told & ~true)
    tp, fp, fn, tn = (np.asarray(weights @ cell.T.astype(float)) for cell in cells)
    return tp, fp, fn, tn


def _f1(guess: Array, truth: Array, weights: Array) -> Array:
    tp, fp, fn, _ = _confusion(guess, truth, weights)
    return np.asarray(200 * tp / np.maximum(2 * tp + fp + fn, 1e-12))


def _macro_f1(guess: Array, truth: Array, weights: Array) -> Array:
    """Mean over the classes that the whole sample has, in truth or in a seed's guesses."""
    total, known = np.zeros((len(weights), len(guess))), np.zeros(len(guess))
    for label in np.union1d(truth, guess):
        present = (guess == label).any(1) | (truth == label).any()
        total += _f1((guess == label).astype(float), (truth == label).astype(float), weights) * present
        known += present
    return total / known


def _squared_error(guess: Array, truth: Array, weights: Array) -> Array:
    return np.asarray(weights @ ((guess - truth) ** 2).T / weights.sum(1, keepdims=True))


def _matthews(guess: Array, truth: Array, weights: Array) -> Array:
    tp, fp, fn, tn = _confusion(guess, truth, weights)
    below = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return np.where(below > 0, 100 * (tp * tn - fp * fn) / np.maximum(below, 1e-12), 0.0)


def _pearson(guess: Array, truth: Array, weights: Array) -> Array:
    share, guess, truth = weights / weights.sum(1, keepdims=True), _standardised(guess), _standardised(truth)
    mean, middle = share @ guess.T, (share @ truth)[:, None]
    spread = share @ (guess**2).T - mean**2
    width = (share @ truth**2)[:, None] - middle**2
    together = share @ (guess * truth).T - mean * middle
    below = np.sqrt(np.maximum(spread, 0) * np.maximum(width, 0))
    return np.where(below > 1e-12, 100 * together / np.maximum(below, 1e-12), 0.0)


def _standardised(values: Array) -> Array:
    """Of mean 0 and deviation 1 along the last axis, so that sums of squares lose no digits; 0 where all are alike."""
    mean, deviation = values.mean(-1, keepdims=True), values.std(-1, keepdims=True)
    varies = deviation > 1e-12 * np.abs(mean)  # else it is what rounding leaves
    return np.where(varies, (values - mean) / np.where(varies, deviation, 1.0), 0.0)


def _spearman(guess: Array, truth: Array, weights: Array) -> Array:
    """Pearson's of the ranks in the whole sample: a resample has nearly the same ones."""
    from scipy.stats import rankdata

    return _pearson(rankdata(guess, axis=1), rankdata(truth), weights)


FROM_GUESSES: dict[str, Callable[[Array, Array, Array], Array]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "macro_f1": _macro_f1,
    "mean_squared_error": _squared_error,
    "matthews_correlation": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
}


def arrays_of(name: str, arrays: list[dict[str, Array]]) -> tuple[str, ...]:
    """Names of the predictions that a metric is made from, one entry an example; empty where a seed lacks one."""
    ways: list[tuple[str, ...]] = [(name,)]
    ways += [("nll",)] if name == "perplexity" else []
    ways += [("prediction", "reference")] if name in FROM_GUESSES else []
    return next((way for way in ways if all(set(way) <= each.keys() for each in arrays)), ())


def metric_of(name: str, arrays: list[dict[str, Array]], values: list[float]) -> Callable[[Array], Array] | None:
    """A metric as a function of the weights of examples.

    Args:
        name: of the metric.
        arrays: predictions of each seed, as a record keeps them.
        values: the metric that each record gives.

    Returns:
        From weights `(resamples, examples)` to values `(resamples, seeds)`; None where the arrays do not hold it.
    """
    found = arrays_of(name, arrays)
    if found == (name,):
        scores = np.stack([each[name].astype(float) for each in arrays])
        scale = np.array(values) / np.maximum(scores.mean(1), 1e-12)  # hits, or shares, into percent
        return lambda weights: (weights @ scores.T) / weights.sum(1, keepdims=True) * scale
    if found == ("nll",):
        nll = np.stack([each["nll"].astype(float) for each in arrays])
        per_token = np.log(values) / nll.mean(1)
        return lambda weights: np.exp((weights @ nll.T) / weights.sum(1, keepdims=True) * per_token)
    if found:
        guess = np.stack([each["prediction"] for each in arrays]).astype(float)
        truth = arrays[0]["reference"].astype(float)
        return lambda weights: FROM_GUESSES[name](guess, truth, weights)
    return None
