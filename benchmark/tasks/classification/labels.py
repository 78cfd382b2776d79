"""Are labels what the task says they are, in data and in models? Asked before anything is trained or evaluated."""

import math
from collections.abc import Sequence

from benchmark.tasks.registry import Task
from vtrans.errors import SuiteError

Rows = Sequence[tuple[tuple[str, ...], float]]


def check_labels(task: Task, rows: Rows) -> str:
    """Check that labels are the task's, and that the anchor row has the label that it should have.

    Returns:
        What could be checked, for the record: without the anchor row in the data, the order could not.

    Raises:
        SuiteError: labels are out of range or in another order, or there is only one.
    """
    found = {label for _, label in rows}
    if task.regression:
        return _check_scores(task, found)
    if not found <= set(range(len(task.labels))):
        names = ", ".join(task.labels)
        raise SuiteError(
            f"labels of {task.name} are {sorted(found)[:5]}", f"use 0 to {len(task.labels) - 1} for {names}"
        )
    if len(found) < 2:
        raise SuiteError(f"all rows of {task.name} have the label {found.pop()}", "give data with every class")
    return _check_order(task, rows)


def _check_scores(task: Task, found: set[float]) -> str:
    low, high, top = min(found), max(found), task.top_score
    if any(math.isnan(score) for score in found) or (top and (low < 0 or not 1 < high <= top)):
        raise SuiteError(f"scores of {task.name} go from {low} to {high}", f"use the scale 0 to {top:g}")
    if low == high:
        raise SuiteError(f"all rows of {task.name} have the score {low}", "give rows with different scores")
    return "range" if top else "numbers"


def _check_order(task: Task, rows: Rows) -> str:
    if task.anchor is None:
        return "range; the source names its classes"
    known, label = _plain(task.anchor[0]), task.anchor[1]
    found = {got for texts, got in rows if _plain(texts) == known}
    if found - {label}:
        names = ", ".join(f"{i} = {name}" for i, name in enumerate(task.labels))
        raise SuiteError(
            f"labels of {task.name} are in another order: "
            f"{task.anchor[0][0]!r} has {max(found - {label})}, not {label:g}",
            f"reorder them to {names}",
        )
    return "range and order, by a known row" if found else "range; the known row is not in the data"


def _plain(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(" ".join(text.casefold().split()) for text in texts)


def check_label_names(task: Task, id2label: dict[int, str] | None) -> None:
    """Raise `SuiteError` where a classifier's classes are not the task's, in the task's order.

    Names of the form `LABEL_0` say nothing of the order and pass where their number is right.
    """
    names = [str((id2label or {})[i]).lower() for i in sorted(id2label or {})]
    unnamed = all(name.startswith("label_") for name in names)
    if (
        task.regression
        or not names
        or names == [label.lower() for label in task.labels]
        or (unnamed and len(names) == len(task.labels))
    ):
        return
    raise SuiteError(
        f"the model's labels are {', '.join(names)}, {task.name}'s are {', '.join(task.labels)}",
        "set the config's id2label to these names, in this order, or give a model without a classifier",
    )
