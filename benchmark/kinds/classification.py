"""Classification and regression of one or two texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.data import encode, load_task, source_files
from benchmark.kinds import Scored
from benchmark.labels import check_label_names
from benchmark.models import load_model
from benchmark.tasks import Task

if TYPE_CHECKING:
    from torch import nn

    from vtrans.examples import Examples

__all__ = ["check_source", "count", "encode", "evaluate", "load", "pretrained", "remark"]
load, check_source = load_task, source_files


def pretrained(source: Path, task: Task, seed: int) -> "nn.Module":
    """A sequence classifier for `task` from the model in folder `source`; a missing head is drawn from `seed`."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.manual_seed(seed)
    config = AutoConfig.from_pretrained(source, local_files_only=True)
    if config.architectures and "Classification" in config.architectures[0]:
        check_label_names(task, config.id2label)
    names = dict(enumerate(task.labels)) or {0: "score"}
    return load_model(
        AutoModelForSequenceClassification,
        source,
        id2label=names,
        label2id={name: i for i, name in names.items()},
        problem_type="regression" if task.regression else "single_label_classification",
    )


def evaluate(task: Task, model: "nn.Module", examples: "Examples") -> Scored:
    """Every metric of the task, in percent."""
    import torch

    from benchmark.evaluation import predict
    from benchmark.metrics import score

    predicted = predict(model, examples)
    logits = torch.stack(predicted.logits)
    guesses = logits.squeeze(-1) if task.regression else logits.argmax(-1)
    return Scored(score(task, guesses.tolist(), examples.labels.tolist()), predicted.lengths)


def count(rows: Sequence[Any], examples: "Examples") -> int:
    """Rows."""
    return len(rows)


def remark(examples: "Examples") -> str:
    """Nothing."""
    return ""
