"""What differs between kinds of tasks: where data come from, how they are encoded, which head, which metrics."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from benchmark.tasks import Task

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from benchmark.data import TaskData
    from vtrans.examples import Examples


@dataclass(frozen=True)
class Scored:
    """What evaluation found.

    Attributes:
        metrics: every metric of the task.
        lengths: tokens under way in each layer, `(sequences, layers, 3)` as of `vtrans.tokens.token_lengths`;
            None for a model that drops none.
    """

    metrics: dict[str, float]
    lengths: "np.ndarray | None" = None


class Kind(Protocol):
    """A module of this package."""

    def check_source(self, task: Task, folder: Path) -> None:
        """Raise `SuiteError` where `folder` lacks a file of the task."""
        ...

    def load(self, task: Task, folder: Path | None, split: str) -> "TaskData":
        """The task's rows, from its package, from `folder` or from the hub."""
        ...

    def encode(self, task: Task, rows: Sequence[Any], tokenizer: Any, max_length: int) -> "Examples":
        """Rows as sequences of at most `max_length` tokens."""
        ...

    def pretrained(self, source: Path, task: Task, seed: int) -> "nn.Module":
        """The model of a folder, with a head for the task."""
        ...

    def evaluate(self, task: Task, model: "nn.Module", examples: "Examples") -> Scored:
        """Every metric of the task."""
        ...

    def count(self, rows: Sequence[Any], examples: "Examples") -> int:
        """How many of the task's units (rows, tokens, questions) there are."""
        ...

    def remark(self, examples: "Examples") -> str:
        """What is to be said of the encoded training data; empty where nothing is."""
        ...


def kind_of(task: Task) -> Kind:
    """The functions of the task's kind."""
    return cast("Kind", importlib.import_module(f"benchmark.kinds.{task.kind}"))
