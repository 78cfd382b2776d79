"""Questions on passages, in the columns of `rajpurkar/squad`: parsed and held out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.tasks.registry import Task
from benchmark.tasks.sources.package import text_bucket
from vtrans.errors import SuiteError

DEV_ROWS = 1000  # at most so many questions of train are held out to select on
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


def parse(task: Task, item: dict[str, Any], where: str) -> Question:
    """A row of columns as a question.

    Raises:
        SuiteError: a column is missing, an answer does not stand where its offset says, or there is none in a task
            where every question has one.
    """
    try:
        answers = tuple(zip(item["answers"]["text"], item["answers"]["answer_start"], strict=True))
        misplaced = [(text, at) for text, at in answers if not text or item["context"][at : at + len(text)] != text]
        question = Question(str(item["id"]), str(item["question"]).strip(), str(item["context"]), answers)
    except (ValueError, TypeError, KeyError):
        raise SuiteError(f"{where} is no question", f"write one JSON object per line, columns {COLUMNS}") from None
    if misplaced:
        text, at = misplaced[0]
        raise SuiteError(f"{where}: the answer {text!r} of {question.id} is not at {at}", "correct answer_start")
    if not answers and not task.abstains:
        raise SuiteError(f"{where}: question {question.id} has no answer", "use the task squad_v2, which allows that")
    return question


def hold_out(rows: Sequence[Question]) -> tuple[list[Question], list[Question]]:
    """About a tenth of the passages, at most `DEV_ROWS` questions, chosen by hash; no passage on both sides."""
    held = [row for row in rows if text_bucket((row.context,)) == 1]
    return [row for row in rows if text_bucket((row.context,)) != 1], held[:DEV_ROWS]
