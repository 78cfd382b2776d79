"""The metrics by name: how each is computed, and how its numbers are to be read. Libraries come in when one is."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

Numbers = Sequence[float]


@dataclass(frozen=True)
class Metric:
    """How a metric is computed and printed.

    Attributes:
        function: from truth and predictions of a classification or regression; None where its kind computes it.
        percent: whether it is a share, which records and tables give in percent.
        digits: after the point, in tables.
        higher_is_better: which way it improves.
        lowest, highest: what it cannot pass, as records and tables give it.
    """

    function: Callable[[Numbers, Numbers], float] | None = None
    percent: bool = True
    digits: int = 1
    higher_is_better: bool = True
    lowest: float = 0.0
    highest: float = 100.0


def _accuracy(truth: Numbers, guess: Numbers) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(truth, guess))


def _f1(truth: Numbers, guess: Numbers) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(truth, guess, zero_division=0))


def _macro_f1(truth: Numbers, guess: Numbers) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(truth, guess, average="macro", zero_division=0))


def _squared_error(truth: Numbers, guess: Numbers) -> float:
    from sklearn.metrics import mean_squared_error

    return float(mean_squared_error(truth, guess))


def _matthews(truth: Numbers, guess: Numbers) -> float:
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(truth, guess))


def _pearson(truth: Numbers, guess: Numbers) -> float:
    from scipy.stats import pearsonr

    return float(pearsonr(truth, guess).statistic) if _vary(truth, guess) else 0.0


def _spearman(truth: Numbers, guess: Numbers) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(truth, guess).statistic) if _vary(truth, guess) else 0.0


def _vary(truth: Numbers, guess: Numbers) -> bool:
    """Whether neither is constant: a constant correlates with nothing, and scipy would give NaN."""
    return min(guess) < max(guess) and min(truth) < max(truth)


_ERROR = Metric(percent=False, digits=3, higher_is_better=False, highest=math.inf)
_PERPLEXITY = replace(_ERROR, digits=2, lowest=1.0)

METRICS = {
    "accuracy": Metric(_accuracy),
    "f1": Metric(_f1),
    "macro_f1": Metric(_macro_f1),
    "matthews_correlation": Metric(_matthews, lowest=-100.0),
    "pearson": Metric(_pearson, lowest=-100.0),
    "spearman": Metric(_spearman, lowest=-100.0),
    "mean_squared_error": replace(_ERROR, function=_squared_error),
    "exact_match": Metric(),
    "masked_accuracy": Metric(),
    "perplexity": _PERPLEXITY,
    "masked_perplexity": _PERPLEXITY,
    "lambada_perplexity": _PERPLEXITY,
    "bits_per_byte": _ERROR,
}


def get_metric(name: str) -> Metric:
    """The metric called `name`; one in percent where it has no entry, as zero-shot tasks bring."""
    return METRICS.get(name, Metric())


def digits(name: str) -> int:
    """Digits after the point of a metric in tables; 1 for percentages that have no entry."""
    return get_metric(name).digits
