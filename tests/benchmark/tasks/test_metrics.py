"""Every metric that GLUE defines, by hand and against scipy and scikit-learn's definitions."""

import math

import pytest

from benchmark.tasks.classification.metrics import score
from benchmark.tasks.registry import GLUE, TASKS, get_task
from vtrans.errors import SuiteError


def test_accuracy_and_f1():
    assert score(get_task("mrpc"), [1, 1, 1, 0], [1, 0, 1, 1]) == {
        "accuracy": 50.0,
        "f1": pytest.approx(66.6667, abs=1e-3),
    }


def test_matthews():
    tp, tn, fp, fn = 2, 1, 1, 1
    want = (tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    got = score(get_task("cola"), [1, 1, 0, 1, 0], [1, 1, 0, 0, 1])["matthews_correlation"]
    assert got == pytest.approx(100 * want, abs=1e-3)


def test_pearson_and_spearman():
    got = score(get_task("stsb"), [0.0, 1.0, 2.0, 10.0], [0.0, 1.0, 2.0, 3.0])
    assert got["spearman"] == pytest.approx(100)
    assert got["pearson"] == pytest.approx(87.506, abs=1e-3)


def test_constant_predictions_score_0():
    assert score(get_task("stsb"), [1.0, 1.0, 1.0], [0.0, 1.0, 2.0]) == {"pearson": 0.0, "spearman": 0.0}
    assert score(get_task("cola"), [1, 1, 1], [0, 1, 1])["matthews_correlation"] == 0
    assert score(get_task("mrpc"), [0, 0], [1, 1])["f1"] == 0


def test_majority_class_of_mrpc():
    got = score(get_task("mrpc"), [1] * 408, [1] * 279 + [0] * 129)
    assert got["accuracy"] == pytest.approx(68.4, abs=0.05)
    assert got["f1"] == pytest.approx(81.2, abs=0.05)


def test_all_nine_tasks_are_there():
    assert set(GLUE) == {"cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli"}
    assert TASKS["stsb"].regression
    assert TASKS["mnli"].outputs == 3


def test_unknown_task():
    with pytest.raises(SuiteError, match="did you mean 'sst2'"):
        get_task("sst-2")
