"""The benchmark's metrics as `evaluate.Metric` classes that compute with scikit-learn and scipy, offline."""

from collections.abc import Callable, Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
from scipy import stats
from sklearn import metrics

from benchmark.tasks import Task


def _correlation(function: Callable) -> Callable[[Any, Any], float]:
    def compute(truth: Any, guess: Any) -> float:
        # A constant prediction correlates with nothing; scipy would give NaN.
        return float(function(truth, guess).statistic) if np.ptp(guess) > 0 and np.ptp(truth) > 0 else 0.0

    return compute


FUNCTIONS: dict[str, Callable[[Any, Any], float]] = {
    "accuracy": lambda truth, guess: float(metrics.accuracy_score(truth, guess)),
    "f1": lambda truth, guess: float(metrics.f1_score(truth, guess, zero_division=0)),
    "matthews_correlation": lambda truth, guess: float(metrics.matthews_corrcoef(truth, guess)),
    "pearson": _correlation(stats.pearsonr),
    "spearman": _correlation(stats.spearmanr),
}


class TaskMetric(evaluate.Metric):
    """All metrics of one task, in percent."""

    def __init__(self, task: Task, **kwargs: Any) -> None:
        self.task = task
        super().__init__(config_name=task.name, **kwargs)

    def _info(self) -> evaluate.MetricInfo:
        kind = datasets.Value("float32" if self.task.regression else "int64")
        return evaluate.MetricInfo(
            description=f"Metrics of {self.task.name}",
            citation="",
            features=datasets.Features({"predictions": kind, "references": kind}),
        )

    def _compute(self, predictions: Sequence[float], references: Sequence[float]) -> dict[str, float]:
        truth, guess = np.asarray(references), np.asarray(predictions)
        return {name: round(100 * FUNCTIONS[name](truth, guess), 4) for name in self.task.metrics}


def score(task: Task, predictions: Sequence[float], references: Sequence[float]) -> dict[str, float]:
    """Every metric of `task`, in percent (correlations times 100)."""
    result = TaskMetric(task).compute(predictions=predictions, references=references)
    assert result is not None  # evaluate gives None on worker processes alone
    return result
