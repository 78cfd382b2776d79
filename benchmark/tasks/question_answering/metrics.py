"""Exact match and F1 of answers, by SQuAD's normalisation, as an `evaluate.Metric` that works offline."""

import re
import string
from collections import Counter
from collections.abc import Sequence

import datasets
import evaluate
import numpy as np

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Lower case, without punctuation and articles, words separated by single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, gold: str) -> float:
    """1 where both are the same once normalised."""
    return float(normalise(answer) == normalise(gold))


def f1(answer: str, gold: str) -> float:
    """F1 of the words of an answer; without words on either side, whether both have none."""
    ours, theirs = normalise(answer).split(), normalise(gold).split()
    if not ours or not theirs:
        return float(ours == theirs)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs))


class AnswerMetric(evaluate.Metric):
    """Both metrics in percent, each question at the gold answer that fits best."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "references": datasets.Sequence(text)})
        return evaluate.MetricInfo(description="Exact match and F1 of SQuAD", citation="", features=features)

    def _compute(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
        return {
            name: round(100 * float(found.mean()), 4) for name, found in per_question(predictions, references).items()
        }


def per_question(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
    """`exact_match` and `f1` of each question in [0, 1], `(questions,)` each; no gold answer counts as an empty one."""
    pairs = [(answer, gold or [""]) for answer, gold in zip(predictions, references, strict=True)]
    return {
        name: np.array([max(function(answer, each) for each in gold) for answer, gold in pairs])
        for name, function in (("exact_match", exact_match), ("f1", f1))
    }


def score_answers(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """`exact_match` and `f1` in percent; `references` are the gold answers, none for what has no answer."""
    result = AnswerMetric().compute(predictions=predictions, references=[list(r) for r in references])
    assert result is not None  # evaluate gives None on worker processes alone
    return dict(result)
