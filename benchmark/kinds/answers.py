"""Extractive question answering: the span of a passage that answers a question."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.kinds import Scored
from benchmark.models import load_model
from benchmark.questions import load_questions, source_files
from benchmark.tasks import Task

if TYPE_CHECKING:
    from torch import nn

    from benchmark.spans import SpanExamples
    from vtrans.examples import Examples

__all__ = ["check_source", "count", "encode", "evaluate", "load", "pretrained", "remark"]
load, check_source = load_questions, source_files


def encode(task: Task, rows: Sequence[Any], tokenizer: Any, max_length: int) -> "SpanExamples":
    """Windows of at most `max_length` tokens, the question before each."""
    from benchmark import spans

    return spans.encode(rows, tokenizer, max_length)


def pretrained(source: Path, task: Task, seed: int) -> "nn.Module":
    """An answerer from the model of a folder; a missing head is drawn from `seed`."""
    import torch
    from transformers import AutoModelForQuestionAnswering

    torch.manual_seed(seed)
    return load_model(AutoModelForQuestionAnswering, source)


def evaluate(task: Task, model: "nn.Module", examples: "Examples") -> Scored:
    """Exact match and F1, in percent."""
    from benchmark import spans
    from benchmark.evaluation import predict
    from benchmark.squad_metric import score_answers

    assert isinstance(examples, spans.SpanExamples)
    predicted = predict(model, examples)
    texts = spans.answers(examples.questions, examples, predicted.logits, may_abstain=task.abstains)
    gold = [[text for text, _ in row.answers] for row in examples.questions]
    return Scored(score_answers(texts, gold), predicted.lengths)


def count(rows: Sequence[Any], examples: "Examples") -> int:
    """Questions."""
    return len(rows)


def remark(examples: "Examples") -> str:
    """How many answers the windows cut off."""
    from benchmark import spans

    assert isinstance(examples, spans.SpanExamples)
    return f"{examples.cut} of {len(examples.questions)} training questions have no answer that is whole in a window"
