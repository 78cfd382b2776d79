"""Metrics of classification and regression as an `evaluate.Metric` that works offline."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from benchmark.tasks.metrics import METRICS
from benchmark.tasks.registry import Task
from vtrans.errors import SuiteError


class TaskMetric(evaluate.Metric):
    """All metrics of one task, shares in percent."""

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
        return {name: _computed(name, references, predictions) for name in self.task.metrics}


def _computed(name: str, truth: Sequence[float], guess: Sequence[float]) -> float:
    metric = METRICS[name]
    if metric.function is None:
        raise SuiteError(f"metric {name!r} is not computed from class ids or scores", "name another one in the task")
    return round((100 if metric.percent else 1) * metric.function(truth, guess), 4)


def score(task: Task, predictions: Sequence[float], references: Sequence[float]) -> dict[str, float]:
    """Every metric of `task`; shares in percent (correlations times 100)."""
    result = TaskMetric(task).compute(predictions=predictions, references=references)
    assert result is not None  # evaluate gives None on worker processes alone
    return dict(result)
