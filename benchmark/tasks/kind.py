"""What differs between kinds of tasks: rows, encoding, head, metrics. One class each; a task names its kind."""

import hashlib
import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.tasks.registry import Task
from benchmark.tasks.sources import Place, Source
from vtrans.errors import SuiteError

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from vtrans.data.examples import Examples

KINDS = {
    "classification": "benchmark.tasks.classification.kind:Classification",
    "question_answering": "benchmark.tasks.question_answering.kind:QuestionAnswering",
    "causal_lm": "benchmark.tasks.language_modeling.causal:CausalLM",
    "masked_lm": "benchmark.tasks.language_modeling.masked:MaskedLM",
}


@dataclass(frozen=True)
class TaskData:
    """Rows of one task, as its kind has them.

    Attributes:
        train, evaluation: rows to train and to evaluate on.
        split: `validation`, or `dev` for rows held out of train.
        source: where the rows came from, for people.
        digest: sha256 over all rows.
        label_check: what could be checked of the labels, for people.
        also: rows of the second validation split, where the task and the source have one.
        fallback: the split that is trained on where it is another than the task's.
    """

    train: Sequence[Any]
    evaluation: Sequence[Any]
    split: str
    source: str
    digest: str
    label_check: str
    also: Sequence[Any] = ()
    fallback: str = ""

    def caveat(self, task: Task) -> str:
        """What has to be said beside a number of the task on these rows; empty where nothing has."""
        said = f'"train" is the {self.fallback} split' if self.fallback else ""
        return "; ".join(filter(None, (task.caveat, said)))


@dataclass(frozen=True)
class Scored:
    """What evaluation found.

    Attributes:
        metrics: every metric of the task.
        lengths: tokens in each layer, `(sequences, layers, 3)` as of `vtrans.tokens.encoder.TokenRecord`;
            None for a model that drops none.
        predictions: what the model said of each example, as arrays by name whose first axis is examples: `prediction`,
            and `score`, on which the metric rests, where it is no mean of hits.
    """

    metrics: dict[str, float]
    lengths: "np.ndarray | None" = None
    predictions: "dict[str, np.ndarray]" = field(default_factory=dict)


class Kind(ABC):
    """A kind of tasks.

    Attributes:
        unit: what its evaluation counts.
        formats: suffixes of its files, the usual one first.
        decodes: whether its models are decoders.
        running_text: whether the data are windows of one length, cut from a text.
        has_labels: whether rows have labels to fine-tune on.
        allows_token_dropping: whether a model for it may drop tokens.
        head: part of the name of the classes that have its head.
    """

    unit = "rows"
    formats: tuple[str, ...] = ("jsonl", "csv")
    decodes = False
    running_text = False
    has_labels = True
    allows_token_dropping = True
    head: tuple[str, ...] = ()

    @abstractmethod
    def columns(self, task: Task) -> str:
        """Columns that a row needs, for people."""

    @abstractmethod
    def parse(self, task: Task, item: dict[str, Any], where: str) -> Any:
        """A row from its columns.

        Raises:
            SuiteError: a column is missing or of the wrong type; names `where`.
        """

    @abstractmethod
    def check(self, task: Task, rows: Sequence[Any]) -> str:
        """Check all rows together; return what could be checked.

        Raises:
            SuiteError: the rows contradict what the task says of them.
        """

    @abstractmethod
    def hold_out(self, rows: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """Rows of train to train on, and those held out of it to select on (`dev`)."""

    @abstractmethod
    def encode(self, task: Task, rows: Sequence[Any], tokenizer: Any, max_length: int) -> "Examples":
        """Rows as sequences of at most `max_length` tokens."""

    def encode_for(self, source: Path, task: Task, rows: Sequence[Any], tokenizer: Any, max_length: int) -> "Examples":
        """Rows as `encode` has them, for the model in a folder: without token types where it reads none."""
        from transformers import AutoConfig

        from vtrans.anatomy import family_of

        examples = self.encode(task, rows, tokenizer, max_length)
        family = family_of(AutoConfig.from_pretrained(source, local_files_only=True))
        return examples if family.token_types else replace(examples, types=())

    @abstractmethod
    def pretrained(self, source: Path, task: Task, seed: int) -> "nn.Module":
        """The model of a folder, with a head for the task; what is missing of it is drawn from `seed`."""

    @abstractmethod
    def evaluate(self, task: Task, model: "nn.Module", examples: "Examples") -> Scored:
        """Every metric of the task, with the predictions that they are made from."""

    def count(self, rows: Sequence[Any], examples: "Examples") -> int:
        """How many of the kind's units there are."""
        return len(rows)

    def remark(self, examples: "Examples") -> str:
        """What is to be said of the encoded training data; empty where nothing is."""
        return ""

    def least_tokens(self, tokenizer: Any) -> int:
        """Shortest sequence that holds two tokens of text."""
        return 2 + int(tokenizer.num_special_tokens_to_add(pair=True))

    def has_head(self, class_name: str, outputs: int, task: Task) -> bool:
        """Whether a model class, with so many outputs, has the head of the task."""
        return any(part in class_name for part in self.head)

    def check_head(self, task: Task, config: Any) -> None:  # noqa: B027 (most kinds have nothing to check)
        """Raise `SuiteError` where a fine-tuned model's outputs mean something else than the task's."""

    def place(self, task: Task) -> Place:
        """What the task calls its rows."""
        return Place(task.name, task.folder or task.name, self.formats, self.columns(task), task.train, task.validation)

    def source(self, task: Task, folder: Path | None) -> Source:
        """The source to read: that of the task, or the user's folder in its place."""
        return task.source.at(folder, self.place(task))

    def check_source(self, task: Task, folder: Path | None) -> None:
        """Raise `SuiteError` where a file of the task is missing."""
        source = self.source(task, folder)
        source.check(self.place(task), self.splits(task, source))

    def splits(self, task: Task, source: Source) -> tuple[str, str]:
        """Names of the split that is trained on and of the one that is evaluated, in a source."""
        place = self.place(task)
        other = task.train_else and not source.has(place, task.train) and source.has(place, task.train_else)
        return task.train_else if other else task.train, task.validation

    def load(self, task: Task, folder: Path | None = None, split: str = "validation") -> TaskData:
        """The rows of a task; never silently from another source than was asked for.

        Args:
            task: the task.
            folder: what `--data-dir` names.
            split: `validation` to report, `dev` to select: rows of train that training leaves out.

        Raises:
            SuiteError: the source lacks the task, or rows are not what the task says.
        """
        source, place = self.source(task, folder), self.place(task)
        splits = self.splits(task, source)
        source.check(place, splits)

        def read(name: str) -> list[Any]:
            """Rows of a split."""
            return [self.parse(task, item, where) for where, item in source.rows(place, name)]

        train, evaluation = map(read, splits)
        described = source.describe(place, splits)
        for name, rows in zip(splits, (train, evaluation), strict=True):
            if not any(rows):
                raise SuiteError(f"{task.name} has no {name} rows ({described})", "put at least one there")
        checked = self.check(task, [*train, *evaluation])
        also = read(task.also) if task.also and split == "validation" and source.has(place, task.also) else []
        every = [train, evaluation, also] if also else [train, evaluation]
        digest = hashlib.sha256(json.dumps(every, default=asdict).encode()).hexdigest()
        if split == "dev":
            train, evaluation = (list(rows) for rows in self.hold_out(train))
        fallback = splits[0] if splits[0] != task.train else ""
        return TaskData(train, evaluation, split, described, digest, checked, also, fallback)


@cache
def kind_named(name: str) -> Kind:
    """The kind of that name.

    Raises:
        SuiteError: there is none.
    """
    from vtrans.errors import did_you_mean

    if name not in KINDS:
        raise did_you_mean("kind of task", name, list(KINDS))
    module, _, attribute = KINDS[name].partition(":")
    kind: Kind = getattr(importlib.import_module(module), attribute)()
    return kind


def kind_of(task: Task) -> Kind:
    """The kind of a task."""
    return kind_named(task.kind)
