"""Questions on passages (SQuAD): from a folder or the hub, in the columns of `rajpurkar/squad`."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.data import DEV_ROWS, TaskData, text_bucket
from benchmark.tasks import Task
from vtrans.errors import SuiteError

HUB = {
    "squad": ("rajpurkar/squad", "7b6d24c440a36b6815f21b70d25016731768db1f"),
    "squad_v2": ("rajpurkar/squad_v2", "3ffb306f725f7d2ce8394bc1873b24868140c412"),
}
COLUMNS = "id, context, question, answers (text and answer_start)"


@dataclass(frozen=True)
class Question:
    """A question, the passage that answers it, and the answers that annotators gave.

    Attributes:
        answers: texts, each with the character of the passage that it starts at; none where nothing answers it.
    """

    id: str
    question: str
    context: str
    answers: tuple[tuple[str, int], ...]


def load_questions(task: Task, folder: Path | None = None, split: str = "validation") -> TaskData:
    """Load a task from `folder`/NAME/SPLIT.jsonl where given, else from the hub.

    Args:
        task: of the kind `answers`.
        folder: what `--data-dir` names.
        split: `validation` to report, `dev` to select: questions of train on passages that training leaves out.

    Raises:
        SuiteError: the source lacks the task, or an answer does not stand where it is said to.
    """
    if folder is not None:
        files = source_files(task, folder)
        train, reported = (_file_rows(task, path) for path in files.values())
        source = f"folder, {task.name}/train.jsonl and {task.validation}.jsonl"
    else:
        train, reported = _hub_rows(task, "train"), _hub_rows(task, task.validation)
        source = "{}@{:.12}".format(*HUB[task.name])
    digest = hashlib.sha256(json.dumps([list(map(asdict, rows)) for rows in (train, reported)]).encode()).hexdigest()
    if split == "dev":
        train, reported = hold_out(train)
    return TaskData(train, reported, split, source, digest, "answers stand at their offsets")


def hold_out(rows: Sequence[Question]) -> tuple[list[Question], list[Question]]:
    """About a tenth of the passages, at most `DEV_ROWS` questions, chosen by hash; no passage on both sides."""
    held = [row for row in rows if text_bucket((row.context,)) == 1]
    return [row for row in rows if text_bucket((row.context,)) != 1], held[:DEV_ROWS]


def source_files(task: Task, folder: Path) -> dict[str, Path]:
    """Files of a task's splits in `folder`.

    Raises:
        SuiteError: one is missing.
    """
    files = {split: folder / task.name / f"{split}.jsonl" for split in ("train", task.validation)}
    for split, path in files.items():
        if not path.is_file():
            raise SuiteError(f"{folder} has no {task.name}/{split}.jsonl", f"put it there, columns {COLUMNS}")
    return files


def _file_rows(task: Task, path: Path) -> list[Question]:
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as stream:
            lines = [line for line in stream if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path} cannot be read ({type(error).__name__})", "write it as UTF-8 text") from None
    if not lines:
        raise SuiteError(f"{path} is empty", "put questions there")
    return [_parse(task, line, f"{path}:{number}") for number, line in enumerate(lines, 1)]


def _parse(task: Task, line: str, where: str) -> Question:
    try:
        return to_question(task, json.loads(line), where)
    except (ValueError, TypeError, KeyError):
        raise SuiteError(f"{where} is no question", f"write one JSON object a line, columns {COLUMNS}") from None


def to_question(task: Task, item: dict[str, Any], where: str) -> Question:
    """A row of the hub's columns as a question.

    Raises:
        SuiteError: an answer does not stand where its offset says, or there is none in a task where all have one.
    """
    answers = tuple(zip(item["answers"]["text"], item["answers"]["answer_start"], strict=True))
    for text, start in answers:
        if not text or item["context"][start : start + len(text)] != text:
            raise SuiteError(f"{where}: the answer {text!r} of {item['id']} is not at {start}", "correct answer_start")
    if not answers and not task.abstains:
        raise SuiteError(f"{where}: question {item['id']} has no answer", "use the task squad_v2, which allows that")
    return Question(str(item["id"]), str(item["question"]).strip(), str(item["context"]), answers)


def _hub_rows(task: Task, split: str) -> list[Question]:
    from datasets import load_dataset

    name, revision = HUB[task.name]
    try:
        data = load_dataset(name, split=split, revision=revision)
    except Exception as error:  # the hub client raises its own kinds, requests' and OSError
        raise SuiteError(
            f"{name} cannot be fetched ({type(error).__name__})", "connect to the Hugging Face hub, or give --data-dir"
        ) from None
    return [to_question(task, item, name) for item in data]
