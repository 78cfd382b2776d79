"""A user's own rows as a task: what their columns are, which classes they have, how they are scored."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmark.tasks.registry import Task
from benchmark.tasks.sources.package import text_bucket
from benchmark.tasks.sources.table import Row, Table, read_table, saved_splits
from vtrans.data.labels import class_ids, is_whole, label_text
from vtrans.errors import SuiteError

SCORES = ("pearson", "spearman", "mean_squared_error")
CLASSES = ("accuracy", "macro_f1")
TWO_CLASSES = ("accuracy", "f1", "macro_f1", "matthews_correlation")
METRICS_OF = {"question_answering": ("exact_match", "f1"), "causal_lm": ("perplexity", "bits_per_byte")}
SPLITS = ("train", "validation", "test")
TEXTS = ("text", "second_text")  # columns of classification


@dataclass(frozen=True)
class OwnData:
    """Files of rows and the meaning of their columns.

    Attributes:
        data: rows to train on: `.csv`, `.tsv`, `.jsonl`, `.parquet`, `.txt`, or a folder that datasets saved.
        evaluation: rows to evaluate on; without it the split `validation` or `test` of a saved folder, or a tenth of
            `data`: by the hash of its texts (of passages, for questions), the last tenth of running text.
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
        generates: whether it is a decoder, with a head for text or for sequences.
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


def own_task(own: OwnData, model: Path, whole: bool = False) -> Task:
    """A user's rows as a task for the model in a folder, the classes in the model's order.

    Args:
        own: files and columns.
        model: folder of the model that is compressed, evaluated or exported.
        whole: whether all of `own.data` is evaluated, and nothing trained on.

    Raises:
        SuiteError: a file or column is missing, texts are empty, or labels are not what the model knows.
    """
    if not own.texts or len(own.texts) > len(TEXTS):
        raise SuiteError(f"{len(own.texts)} text columns are named", "name one or two with --text")
    head = Head.of(model)
    rows = read_table(own.data, (*SPLITS[1:], SPLITS[0]) if whole else SPLITS[:1])
    check_columns(own, rows)
    kind = _kind(own, rows, head)
    splits = (rows, rows) if whole else _split(own, rows, kind)
    if kind == "causal_lm":
        return _running_text(own, splits)
    for each in splits:
        check_rows(own, each, kind)
    if kind == "question_answering":
        return _questions(own, splits)
    texts = TEXTS[: len(own.texts)]
    if _is_score(own, rows, head):
        return _task(own, kind, [_scored(own, each) for each in splits], texts, known=SCORES)
    classes = classes_of(own, splits, head)
    known = TWO_CLASSES if len(classes) == 2 else CLASSES
    return _task(own, kind, [_classified(own, each, classes) for each in splits], texts, known, classes)


def _task(
    own: OwnData,
    kind: str,
    splits: Sequence[Sequence[Row]],
    texts: tuple[str, ...],
    known: tuple[str, ...] = (),
    labels: tuple[str, ...] = (),
) -> Task:
    """The task of rows that are in its columns, with some of the metrics that are known for them."""
    name = f"{own.data.name}/" if own.data.is_dir() else own.data.name  # no name of a task that the suite has
    held = f"and {own.evaluation.name}" if own.evaluation else "rows held out of it"
    evaluated = own.evaluation.name if own.evaluation else f"rows held out of {own.data.name}"
    return Task(
        name,
        Table(splits[0], splits[1], f"{name}, {held}", evaluated),
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
    decodes = head.generates and not (head.names or head.scores)
    if decodes and own.label:
        raise SuiteError("the model is a decoder, which is trained on running text", "leave out --label")
    if not own.label:
        if decodes:
            return "causal_lm"
        raise SuiteError(f"no column of {own.data} is named as the label", "name it with --label")
    return "question_answering" if isinstance(rows[0][1][own.label], Mapping) else "classification"


def check_columns(own: OwnData, rows: Sequence[Row]) -> None:
    """Raise `SuiteError` where a column is missing from the first row."""
    columns = list(rows[0][1])
    if own.label in own.texts or len(set(own.texts)) < len(own.texts):
        raise SuiteError("one column is named twice with --text and --label", "name the columns that differ")
    wanted = [(name, "--text") for name in own.texts] + ([(own.label, "--label")] if own.label else [])
    for name, option in wanted:
        if name not in columns:
            raise SuiteError(
                f"{own.data} has no column {name!r}", f"name one with {option}; its columns: {', '.join(columns)}"
            )


def check_rows(own: OwnData, rows: Sequence[Row], kind: str) -> None:
    """Raise `SuiteError` where rows have no text, no label, or a label of another shape than their kind has."""
    if bent := next((where for where, row in rows for n in own.texts if isinstance(row.get(n), list | dict)), ""):
        raise SuiteError(f"{bent} has a list or an object in the place of a text", "write one text a column")
    cells = [(where, [row.get(name) for name in own.texts]) for where, row in rows]
    empty = [where for where, each in cells if any(cell is None or not str(cell).strip() for cell in each)]
    if empty:
        raise SuiteError(f"{len(empty)} rows have an empty text, {empty[0]} first", "fill them in, or leave them out")
    if kind == "question_answering":
        odd = [where for where, row in rows if not _is_answer(row.get(own.label))]
        remedy = "write answers as SQuAD has them: lists `text` and `answer_start` in one object"
        problem = "has no answers in the form of SQuAD"
    else:
        missing = [where for where, row in rows if not label_text(row.get(own.label))]
        if missing:
            raise SuiteError(
                f"{len(missing)} rows have no label, {missing[0]} first", "fill them in, or leave them out"
            )
        odd = [where for where, row in rows if isinstance(row[own.label], list | tuple | dict)]
        problem, remedy = "has a list of labels", "write one class or score a row"
    if odd:
        raise SuiteError(f"{odd[0]} {problem}", remedy)


def _is_answer(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(value.get(k), list) for k in ("text", "answer_start"))


def _is_score(own: OwnData, rows: Sequence[Row], head: Head) -> bool:
    """Whether labels are scores: by the metric, by the model's head, or as they are numbers, and not all whole ones.

    Raises:
        SuiteError: they are, and the model is a classifier.
    """
    numbers = [_number(row[own.label]) for _, row in rows]
    fractions = all(n is not None for n in numbers) and any(n is not None and not n.is_integer() for n in numbers)
    found = own.metric in SCORES if own.metric else head.scores or fractions
    if found and head.names:
        which = f"the metric {own.metric}" if own.metric else "scores"
        raise SuiteError(
            f"{which} is not for a model with classes", "give class labels, or a model without a classifier"
        )
    return found


def _number(label: Any) -> float | None:
    try:
        return float(label_text(label))
    except ValueError:
        return None


def classes_of(own: OwnData, splits: Sequence[Sequence[Row]], head: Head) -> tuple[str, ...]:
    """Names of the classes in the order of the model's outputs; of the rows, sorted, where it has no classifier.

    Raises:
        SuiteError: there is one class alone, or one that no training row has.
    """
    train, evaluation = ({label_text(row[own.label]) for _, row in rows} for rows in splits)
    if len(train | evaluation) < 2:
        raise SuiteError(f"all rows of {own.data} have the label {train.pop()}", "give rows of every class")
    if head.names:
        return head.names
    if new := evaluation - train:
        raise SuiteError(f"no training row has the label {new.pop()!r}", "leave its rows out, or train on some")
    return tuple(sorted(train, key=int if all(map(is_whole, train)) else None))


def _classified(own: OwnData, rows: Sequence[Row], classes: tuple[str, ...]) -> list[Row]:
    """Rows in the columns of classification, with class ids."""
    ids = class_ids([row[own.label] for _, row in rows], classes)
    return [(where, _texts(own, row) | {"label": label}) for (where, row), label in zip(rows, ids, strict=True)]


def _scored(own: OwnData, rows: Sequence[Row]) -> list[Row]:
    """Rows in the columns of classification, with scores.

    Raises:
        SuiteError: a score is no number.
    """
    for where, row in rows:
        if _number(row[own.label]) is None:
            raise SuiteError(f"{where} has the score {row[own.label]!r}", "write numbers")
    return [(where, _texts(own, row) | {"label": _number(row[own.label])}) for where, row in rows]


def _texts(own: OwnData, row: Mapping[str, Any]) -> dict[str, Any]:
    return {new: row[old] for new, old in zip(TEXTS, own.texts, strict=False)}


def _running_text(own: OwnData, splits: Sequence[Sequence[Row]]) -> Task:
    """Lines of text, of which one break each is left to the joiner."""
    if len(own.texts) > 1:
        raise SuiteError("running text is one column", "name it with --text")
    lines = [
        [(where, {"text": str(row.get(own.texts[0]) or "").removesuffix("\n")}) for where, row in each]
        for each in splits
    ]
    return _task(own, "causal_lm", lines, ("text",))


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


def _split(own: OwnData, rows: list[Row], kind: str) -> tuple[list[Row], list[Row]]:
    """Rows to train and to evaluate on: those of another file or split, or a tenth that is held out.

    Raises:
        SuiteError: too few to hold some out.
    """
    other = own.evaluation or (own.data if set(SPLITS[1:]) & set(saved_splits(own.data)) else None)
    if other:
        evaluation = read_table(other, SPLITS[1:])
        check_columns(replace(own, data=other), evaluation)
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
