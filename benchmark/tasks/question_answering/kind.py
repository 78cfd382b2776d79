"""Extractive question answering: the span of a passage that answers a question."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.common.checkpoints import load_model
from benchmark.tasks.kind import Kind, Scored
from benchmark.tasks.question_answering.rows import COLUMNS, Question, hold_out, parse
from benchmark.tasks.registry import Task

if TYPE_CHECKING:
    from torch import nn

    from benchmark.tasks.question_answering.spans import SpanExamples
    from vtrans.data.examples import Examples


class QuestionAnswering(Kind):
    """Questions on passages, in the columns of SQuAD."""

    unit = "questions"
    formats = ("jsonl",)
    head = ("QuestionAnswering",)

    def columns(self, task: Task) -> str:
        """Those of `rajpurkar/squad`."""
        return COLUMNS

    def parse(self, task: Task, item: dict[str, Any], where: str) -> Question:
        """A question whose answers stand where they are said to."""
        return parse(task, item, where)

    def check(self, task: Task, rows: Sequence[Question]) -> str:
        """Nothing more: each row was checked by itself."""
        return "answers stand at their offsets"

    def hold_out(self, rows: Sequence[Question]) -> tuple[list[Question], list[Question]]:
        """Questions on passages that training leaves out."""
        return hold_out(rows)

    def encode(self, task: Task, rows: Sequence[Question], tokenizer: Any, max_length: int) -> "SpanExamples":
        """Windows of at most `max_length` tokens, the question before each."""
        from benchmark.tasks.question_answering import spans

        return spans.encode(rows, tokenizer, max_length)

    def pretrained(self, source: Path, task: Task, seed: int) -> "nn.Module":
        """A question-answering model from the model of a folder; a missing head is drawn from `seed`."""
        import torch
        from transformers import AutoModelForQuestionAnswering

        torch.manual_seed(seed)
        model: nn.Module = load_model(AutoModelForQuestionAnswering, source)
        return model

    def evaluate(self, task: Task, model: "nn.Module", examples: "Examples") -> Scored:
        """Exact match and F1, in percent; predictions are both per question, in [0, 1]."""
        from benchmark.measure.predict import predict
        from benchmark.tasks.question_answering import spans
        from benchmark.tasks.question_answering.metrics import per_question, score_answers

        examples = _spans(examples)
        predicted = predict(model, examples)
        texts = spans.answers(examples.questions, examples, predicted.logits, may_abstain=task.abstains)
        gold = [[text for text, _ in row.answers] for row in examples.questions]
        return Scored(score_answers(texts, gold), predicted.lengths, per_question(texts, gold))

    def remark(self, examples: "Examples") -> str:
        """How many answers the windows cut off."""
        examples = _spans(examples)
        return (
            f"{examples.cut} of {len(examples.questions)} training questions have no answer that is whole in a window"
        )


def _spans(examples: "Examples") -> "SpanExamples":
    from benchmark.tasks.question_answering.spans import SpanExamples

    assert isinstance(examples, SpanExamples)
    return examples
