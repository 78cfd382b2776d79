"""Classification and regression of one or two texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.common.checkpoints import load_model
from benchmark.tasks.classification.labels import check_label_names, check_labels
from benchmark.tasks.classification.rows import LabelledTexts, encode, hold_out, parse
from benchmark.tasks.kind import Kind, Scored
from benchmark.tasks.registry import Task

if TYPE_CHECKING:
    from torch import nn

    from vtrans.data.examples import Examples


class Classification(Kind):
    """Texts with a class or a score each."""

    head = ("SequenceClassification",)

    def columns(self, task: Task) -> str:
        """Text columns and the label."""
        return ", ".join((*task.texts, "label"))

    def parse(self, task: Task, item: dict[str, Any], where: str) -> LabelledTexts:
        """Texts and label of a row."""
        return parse(task, item, where)

    def check(self, task: Task, rows: Sequence[LabelledTexts]) -> str:
        """Labels in range and, where a known row is among them, in order."""
        return check_labels(task, rows)

    def hold_out(self, rows: Sequence[LabelledTexts]) -> tuple[list[LabelledTexts], list[LabelledTexts]]:
        """Whole texts, no part of which is trained on."""
        return hold_out(rows)

    def encode(self, task: Task, rows: Sequence[LabelledTexts], tokenizer: Any, max_length: int) -> "Examples":
        """One sequence per row."""
        return encode(task, rows, tokenizer, max_length)

    def pretrained(self, source: Path, task: Task, seed: int) -> "nn.Module":
        """A sequence classifier from the model in folder `source`; a missing head is drawn from `seed`."""
        import torch
        from transformers import AutoConfig, AutoModelForSequenceClassification

        torch.manual_seed(seed)
        config = AutoConfig.from_pretrained(source, local_files_only=True)
        if config.architectures and "Classification" in config.architectures[0]:
            check_label_names(task, config.id2label)
        names = dict(enumerate(task.labels)) or {0: "score"}
        model: nn.Module = load_model(
            AutoModelForSequenceClassification,
            source,
            id2label=names,
            label2id={name: i for i, name in names.items()},
            problem_type="regression" if task.regression else "single_label_classification",
        )
        return model

    def evaluate(self, task: Task, model: "nn.Module", examples: "Examples") -> Scored:
        """Every metric of the task; predictions are class ids, or scores."""
        import torch

        from benchmark.measure.predict import predict
        from benchmark.tasks.classification.metrics import score

        predicted = predict(model, examples)
        logits = torch.stack(predicted.logits)
        guesses = logits.squeeze(-1) if task.regression else logits.argmax(-1)
        metrics = score(task, guesses.tolist(), examples.labels.tolist())
        found = {"prediction": guesses.numpy(), "reference": examples.labels.numpy()}
        return Scored(metrics, predicted.lengths, found)

    def has_head(self, class_name: str, outputs: int, task: Task) -> bool:
        """A sequence classifier of as many outputs as the task has."""
        return super().has_head(class_name, outputs, task) and outputs == task.outputs

    def check_head(self, task: Task, config: Any) -> None:
        """The model's classes are the task's, in its order."""
        check_label_names(task, config.id2label)
