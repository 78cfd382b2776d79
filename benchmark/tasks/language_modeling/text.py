"""Running text: rows joined to one text, and its tokens."""

import re
from array import array
from collections.abc import Sequence
from typing import Any

from benchmark.tasks.kind import Kind
from benchmark.tasks.registry import Task
from vtrans.errors import SuiteError

PART = 16_000_000  # characters tokenised at a time: a tokenizer takes about a kilobyte per token while it works
BETWEEN = re.compile(r"(?<=\S) (?=\w)")  # before a space that a word follows, no tokenizer's word goes on
HELD_OUT = 10  # one in so many rows of train makes the dev split


class RunningText(Kind):
    """What both kinds of language modelling share: the rows are one text, and have no labels."""

    formats = ("txt", "jsonl", "csv")
    running_text = True
    has_labels = False
    allows_token_dropping = False

    def columns(self, task: Task) -> str:
        """The text alone."""
        return "text, or lines of UTF-8 text"

    def parse(self, task: Task, item: dict[str, Any], where: str) -> str:
        """A line of text.

        Raises:
            SuiteError: there is no column `text`.
        """
        if not isinstance(item.get("text"), str):
            raise SuiteError(f"{where} has no column 'text'", "write lines of text, or objects with the column text")
        return str(item["text"])

    def check(self, task: Task, rows: Sequence[str]) -> str:
        """Nothing to check."""
        return "no labels"

    def hold_out(self, rows: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
        """The last tenth of the rows."""
        cut = len(rows) - len(rows) // HELD_OUT
        return rows[:cut], rows[cut:]


def joined(task: Task, rows: Sequence[str]) -> str:
    """The text that windows are cut from."""
    return task.joiner.join(rows)


def token_ids(tokenizer: Any, text: str) -> "array[int]":
    """Token ids of a text without special tokens, those of the whole at once, but tokenised part by part.

    Where a tokenizer writes the start of a part otherwise than its middle (SentencePiece), the text is one part.
    """

    def ids(part: str) -> list[int]:
        """Ids of one part."""
        return list(tokenizer(part, add_special_tokens=False, verbose=False)["input_ids"])

    cuts = [0]
    while found := BETWEEN.search(text, cuts[-1] + PART):
        cuts.append(found.start())
    around = [text[cuts[1] - 200 : cuts[1]], text[cuts[1] : cuts[1] + 200]] if len(cuts) > 1 else ["", ""]
    if ids(around[0] + around[1]) != ids(around[0]) + ids(around[1]):
        cuts = [0]
    whole = array("i")
    for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True):
        whole.extend(ids(text[start:end]))
    return whole
