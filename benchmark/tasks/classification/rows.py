"""Rows of classification: texts and label each, parsed, held out and tokenised."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchmark.tasks.padding import pad_of
from benchmark.tasks.registry import Task
from benchmark.tasks.sources.package import text_bucket
from vtrans.errors import SuiteError

if TYPE_CHECKING:
    from vtrans.data.examples import Examples

DEV_ROWS = 1000  # at most so many rows of train are held out to select on

LabelledTexts = tuple[tuple[str, ...], float]


def parse(task: Task, item: dict[str, Any], where: str) -> LabelledTexts:
    """Texts and label of a row of columns. A label may also be the name of its class.

    Raises:
        SuiteError: a column is missing, or the label is no class id, class name or score.
    """
    missing = [column for column in (*task.texts, "label") if item.get(column) is None]
    if missing:
        columns = ", ".join((*task.texts, "label"))
        raise SuiteError(f"{where} has no column {missing[0]!r}", f"{task.name} needs the columns {columns}")
    label = item["label"]
    if label in task.labels:
        label = task.labels.index(label)
    number = isinstance(label, int | float) and not isinstance(label, bool) and math.isfinite(label)
    if not number or (label != int(label) and not task.regression):
        raise SuiteError(
            f"{where} has the label {label!r}", "write class ids as whole numbers, class names, or scores as numbers"
        )
    return tuple(str(item[column]) for column in task.texts), label


def hold_out(rows: Sequence[LabelledTexts]) -> tuple[list[LabelledTexts], list[LabelledTexts]]:
    """Hold out about a tenth of the rows, at most `DEV_ROWS`, chosen by the hash of their texts.

    SST-2 trains on the phrases of its sentences, and a phrase of a training sentence is no held-out row.
    So only texts that are a part of no other text are held out, and what is a part of one of them leaves train.
    """
    chosen = [row for row in rows if text_bucket(row[0]) == 1]
    everything = _joined(rows)
    dev = [row for row in chosen if everything.count(_plain(row)) == 1][:DEV_ROWS]
    held = _joined(dev)
    return [row for row in rows if _plain(row) not in held], dev


def _plain(row: LabelledTexts) -> str:
    return " / ".join(" ".join(text.split()) for text in row[0])


def _joined(rows: Sequence[LabelledTexts]) -> str:
    return "\n".join(map(_plain, rows))


def encode(task: Task, rows: Sequence[LabelledTexts], tokenizer: Any, max_length: int) -> "Examples":
    """Tokenise rows, truncated to `max_length` tokens."""
    import torch

    from vtrans.data.examples import Examples

    columns = [list(column) for column in zip(*(texts for texts, _ in rows), strict=True)]
    encoded = tokenizer(*columns, truncation=True, max_length=max_length, return_token_type_ids=True)
    dtype = torch.float32 if task.regression else torch.long
    labels = torch.tensor([label for _, label in rows], dtype=dtype)
    return Examples(encoded["input_ids"], encoded["token_type_ids"], labels, pad_of(tokenizer))
