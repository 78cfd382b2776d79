"""A user's own rows as a task: what their columns are, which classes they have, how they are scored."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmark.tasks.registry import Task
from benchmark.tasks.sources.package import text_bucket
from benchmark.tasks.sources.table import Row, Table, read_table
from vtrans.errors import SuiteError

SCORES = ("pearson", "spearman", "mean_squared_error")
CLASSES = ("accuracy", "macro_f1")
TWO_CLASSES = ("accuracy", "f1", "macro_f1", "matthews_correlation")
METRICS_OF = {"question_answering": ("exact_match", "f1"), "causal_lm": ("perplexity", "bits_per_byte")}
SPLITS = ("train", "validation")
TEXTS = ("text", "second_text")  # columns of classification


@dataclass(frozen=True)
class OwnData:
    """Files of rows and the meaning of their columns.

    Attributes:
        data: rows to train on: `.csv`, `.tsv`, `.jsonl`, `.parquet`, `.txt`, or a folder that datasets saved.
        evaluation: rows to evaluate on; without it a tenth of `data` is held out, by the hash of its texts.
        texts: the column of the text, or the two of a pair; question and context, for question answering.
        label: column of the class, the score or the answers; empty for running text.
        metric: the headline; empty for the usual one.
    """

    data: Path
    evaluation: Path | None = None
    texts: tuple[str, ...] = ("text",)
    label: str = ""
    metric: str = ""


@dataclass(frozen=True)
class Head:
    """What a model's config says of its head.

    Attributes:
        names: of its classes; empty where it has no classifier of sequences, or gives a score.
        scores: whether it gives a score.
        generates: whether it is a decoder.
    """

    names: tuple[str, ...]
    scores: bool
    generates: bool

    @classmethod
    def of(cls, model: Path) -> "Head":
        """The head of the model in a folder."""
        from vtrans.anatomy import family_of

        config = json.loads((model / "config.json").read_text())
        classifies = any("SequenceClassification" in name for name in config.get("architectures") or [])
        names = config.get("id2label") or {str(i): f"LABEL_{i}" for i in range(config.get("num_labels", 2))}
        scores = classifies and (len(names) == 1 or config.get("problem_type") == "regression")
        ordered = tuple(str(names[i]) for i in sorted(names, key=int))
        named = ordered if classifies and not scores else ()
        return cls(named, scores, family_of(SimpleNamespace(**config)).causal)

    @property
    def nameless(self) -> bool:
        """Whether its classes have the names that transformers gives where nobody has."""
        return all(name.startswith("LABEL_") for name in self.names)


def own_task(own: OwnData, model: Path, training: bool = True) -> Task:
    """A user's rows as a task for the model in a folder, the classes in the model's order.

    Args:
        own: files and columns.
        model: folder of the model that is compressed or evaluated.
        training: whether rows are trained on; else all of `own.data` are evaluated.

    Raises:
        SuiteError: a file or column is missing, texts are empty, or labels are not what the model knows.
    """
    head = Head.of(model)
    rows = read_table(own.data, "train")
    check_columns(own, rows)
    kind = _kind(own, rows, head)
    splits = _split(own, rows, kind, training)
    for each in splits:
        check_texts(own, each)
    if kind == "causal_lm":
        return _task(own, kind, [_renamed(each, {own.texts[0]: "text"}) for each in splits], ("text",))
    for each in splits:
        check_labels_given(own, each)
    if kind == "question_answering":
        return _questions(own, splits)
    if len(own.texts) > len(TEXTS):
        raise SuiteError(f"{len(own.texts)} text columns are named", "name one or two with --text")
    texts = TEXTS[: len(own.texts)]
    if _is_score(own, rows, head):
        return _task(own, kind, [_relabelled(own, each, ()) for each in splits], texts, known=SCORES)
    classes = classes_of(own, splits, head)
    known = TWO_CLASSES if len(classes) == 2 else CLASSES
    return _task(own, kind, [_relabelled(own, each, classes) for each in splits], texts, known, classes)


def _task(
    own: OwnData,
    kind: str,
    splits: Sequence[Sequence[Row]],
    texts: tuple[str, ...],
    known: tuple[str, ...] = (),
    labels: tuple[str, ...] = (),
) -> Task:
    """The task of rows that are in its columns, with some of the metrics that are known for them."""
    held = f"and {own.evaluation.name}" if own.evaluation else "a tenth of it held out by hash"
    return Task(
        own.data.name,
        Table(splits[0], splits[1], f"{own.data.name}, {held}"),
        _metrics(own, known or METRICS_OF[kind]),
        kind,
        texts=texts,
        labels=labels,
        joiner="\n" if kind == "causal_lm" else "",
        train_rows=len(splits[0]),
        evaluation_rows=len(splits[1]),
    )


def _metrics(own: OwnData, known: tuple[str, ...]) -> tuple[str, ...]:
    """The metrics of such rows, the one that is asked for first."""
    if own.metric and own.metric not in known:
        raise SuiteError(f"metric {own.metric!r} is not for these rows", f"choose one of: {', '.join(known)}")
    usual = [name for name in known if name != "matthews_correlation"]
    return tuple(dict.fromkeys([own.metric, *usual] if own.metric else usual))


def _kind(own: OwnData, rows: Sequence[Row], head: Head) -> str:
    if head.generates and own.label:
        raise SuiteError("the model is a decoder, which is trained on running text", "leave out --label")
    if not own.label:
        if head.generates:
            return "causal_lm"
        raise SuiteError(f"no column of {own.data} is named as the label", "name it with --label")
    return "question_answering" if isinstance(rows[0][1][own.label], Mapping) else "classification"


def check_columns(own: OwnData, rows: Sequence[Row]) -> None:
    """Raise `SuiteError` where a column is missing from the first row."""
    columns = list(rows[0][1])
    wanted = [(name, "--text") for name in own.texts] + ([(own.label, "--label")] if own.label else [])
    for name, option in wanted:
        if name not in columns:
            raise SuiteError(
                f"{own.data} has no column {name!r}", f"name one with {option}; its columns: {', '.join(columns)}"
            )


def check_texts(own: OwnData, rows: Sequence[Row]) -> None:
    """Raise `SuiteError` where rows have no text; lines of running text may be empty."""
    empty = [where for where, row in rows if not all(str(row.get(name) or "").strip() for name in own.texts)]
    if empty and own.label:
        raise SuiteError(f"{len(empty)} rows have an empty text, {empty[0]} first", "fill them in, or leave them out")


def check_labels_given(own: OwnData, rows: Sequence[Row]) -> None:
    """Raise `SuiteError` where rows have no label."""
    missing = [where for where, row in rows if _value(row.get(own.label)) is None]
    if missing:
        raise SuiteError(f"{len(missing)} rows have no label, {missing[0]} first", "fill them in, or leave them out")
    several = [where for where, row in rows if isinstance(row[own.label], list)]
    if several:
        raise SuiteError(f"{several[0]} has a list of labels", "write one class or score a row")


def _value(label: Any) -> Any:
    """A label as a number where its text is one; None for nothing, and for what is not a number (NaN)."""
    if isinstance(label, str):
        label = label.strip()
        for kind in (int, float):
            try:
                label = kind(label)
                break
            except ValueError:
                continue
    if isinstance(label, float) and not math.isfinite(label):
        return None
    if isinstance(label, float) and label.is_integer():
        return int(label)
    return None if label == "" else label


def _is_score(own: OwnData, rows: Sequence[Row], head: Head) -> bool:
    """Whether labels are scores: by the metric, by the model's head, or as they are no whole numbers."""
    if own.metric:
        return own.metric in SCORES
    return head.scores or any(isinstance(_value(row[own.label]), float) for _, row in rows)


def classes_of(own: OwnData, splits: Sequence[Sequence[Row]], head: Head) -> tuple[str, ...]:
    """Names of the classes in the order of the model's outputs; of the rows, sorted, where it has no classifier.

    Raises:
        SuiteError: rows have classes that the model does not know, or one class alone.
    """
    found = {_value(row[own.label]) for rows in splits for _, row in rows}
    numbers = sorted(label for label in found if isinstance(label, int) and not isinstance(label, bool))
    names = sorted(str(label) for label in found.difference(numbers))
    shown = ", ".join([*map(str, numbers), *names][:8])
    if len(found) < 2:
        raise SuiteError(f"all rows of {own.data} have the label {shown}", "give rows of every class")
    if not head.names:
        new = {_value(row[own.label]) for _, row in splits[1]} - {_value(row[own.label]) for _, row in splits[0]}
        if new:
            raise SuiteError(f"no training row has the label {new.pop()!r}", "leave its rows out, or train on some")
        return (*map(str, numbers), *names)
    ids = not names and set(numbers) <= set(range(len(head.names)))
    if ids or set(map(str, found)) <= set(head.names):
        return head.names
    if head.nameless:
        remedy = "write class ids, or name the classes in id2label of the model's config.json"
    else:
        remedy = "write the model's names, or give a model without a classifier"
    raise SuiteError(f"the rows have the classes {shown}; the model's are {', '.join(head.names)}", remedy)


def _relabelled(own: OwnData, rows: Sequence[Row], classes: tuple[str, ...]) -> list[Row]:
    """Rows under `TEXTS`, and `label` as a class id or a score.

    Raises:
        SuiteError: a score is no number.
    """
    found = list[Row]()
    for where, row in rows:
        label = _value(row[own.label])
        if not classes and not isinstance(label, int | float):
            raise SuiteError(f"{where} has the score {label!r}", "write numbers")
        if classes:
            label = classes.index(str(label)) if str(label) in classes else label
        found.append((where, {new: row[old] for new, old in zip(TEXTS, own.texts, strict=False)} | {"label": label}))
    return found


def _questions(own: OwnData, splits: Sequence[list[Row]]) -> Task:
    if len(own.texts) != 2:
        raise SuiteError("question answering reads two columns", "name them with --text question,context")
    names = {own.texts[0]: "question", own.texts[1]: "context", own.label: "answers"}
    numbered: list[list[Row]] = [
        [(where, {"id": where} | row) for where, row in _renamed(rows, names, keep=("id",))] for rows in splits
    ]
    unanswered = any(not row["answers"]["text"] for rows in numbered for _, row in rows)
    return replace(_task(own, "question_answering", numbered, ()), abstains=unanswered)


def _renamed(rows: Sequence[Row], names: Mapping[str, str], keep: Sequence[str] = ()) -> list[Row]:
    """Rows under other columns, without those that are neither renamed nor kept."""
    every = {name: name for name in keep} | dict(names)
    return [(where, {new: row[old] for old, new in every.items() if old in row}) for where, row in rows]


def _split(own: OwnData, rows: list[Row], kind: str, training: bool) -> tuple[list[Row], list[Row]]:
    """Rows to train and to evaluate on.

    Raises:
        SuiteError: too few to hold some out.
    """
    if not training:
        return rows, rows
    if own.evaluation:
        evaluation = read_table(own.evaluation, SPLITS[1])
        check_columns(replace(own, data=own.evaluation), evaluation)
        return rows, evaluation
    if kind == "causal_lm":
        cut = len(rows) - len(rows) // 10
        found = rows[:cut], rows[cut:]
    else:
        by = own.texts[1:] if kind == "question_answering" else own.texts  # no passage on both sides
        held = [text_bucket([str(row.get(name)) for name in by]) == 0 for _, row in rows]
        pairs = list(zip(rows, held, strict=True))
        found = [row for row, out in pairs if not out], [row for row, out in pairs if out]
    if not all(found):
        raise SuiteError(f"{own.data} has too few rows to hold a tenth out", "name a file with --eval")
    return found
