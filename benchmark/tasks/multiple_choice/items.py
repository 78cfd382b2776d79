"""Zero-shot multiple choice: which continuation of a context a language model finds likeliest.

Prompts, tokenisation and both scores are those of lm-evaluation-harness: plain log-likelihood, and
log-likelihood over the characters of the choice. Rows come from `DATA_DIR/zero_shot/NAME.jsonl`.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.tasks.kind import Scored
from benchmark.tasks.sources.files import read_rows
from vtrans.errors import SuiteError, did_you_mean

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes:
        pairs: context and continuation of each choice.
        label: the right one.
        lengths: characters that normalise each choice's log-likelihood.
    """

    pairs: tuple[tuple[str, str], ...]
    label: int
    lengths: tuple[int, ...]


def _choices(prompt: str, choices: Sequence[str], label: int) -> Item:
    if not isinstance(choices, (list, tuple)) or not all(choices):
        raise ValueError("no choices")
    return Item(tuple((prompt, f" {choice}") for choice in choices), int(label), tuple(map(len, choices)))


def _question(row: dict[str, Any]) -> Item:
    return _choices(f"Question: {row['context']}\nAnswer:", row["choices"], row["label"])


def _ending(row: dict[str, Any]) -> Item:
    return _choices(row["context"], row["choices"], row["label"])


def _scene(row: dict[str, Any]) -> Item:
    """HellaSwag as the hub has it, cleaned of its markup as the harness does; a row with `context` is taken as is."""
    if "context" in row:
        return _ending(row)
    scene = f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}"
    return _choices(_unmarked(scene), [_unmarked(ending) for ending in row["endings"]], row["label"])


def _unmarked(text: str) -> str:
    """The text without WikiHow's marks in brackets."""
    text = re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". "))
    return text.replace("  ", " ")


def _yes_no(row: dict[str, Any]) -> Item:
    return _choices(f"{row['passage']}\nQuestion: {row['question']}?\nAnswer:", ("no", "yes"), row["label"])


def _blank(row: dict[str, Any]) -> Item:
    """Both options stand in the blank of the context; what follows is scored (partial evaluation)."""
    before, blank, after = row["sentence"].partition("_")
    if not blank:
        raise ValueError("no blank")
    rest = " " + after.strip()
    pairs = tuple((before + row[f"option{i}"], rest) for i in (1, 2))
    return Item(pairs, int(row["answer"]) - 1, (len(rest.strip()),) * 2)


def _last_word(row: dict[str, Any]) -> Item:
    context, _, word = row["text"].rpartition(" ")
    if not word:
        raise ValueError("no last word")
    return Item(((context, f" {word}"),), 0, (len(word),))


READERS: dict[str, tuple[Callable[[dict[str, Any]], Item], str]] = {
    "arc_easy": (_question, "context, choices, label"),
    "arc_challenge": (_question, "context, choices, label"),
    "piqa": (_question, "context, choices, label"),
    "hellaswag": (_scene, "activity_label, ctx_a, ctx_b, endings, label"),
    "winogrande": (_blank, "sentence, option1, option2, answer"),
    "boolq": (_yes_no, "passage, question, label"),
    "lambada": (_last_word, "text"),
}


def load_items(name: str, folder: Path | None, rows: int = 0) -> list[Item]:
    """The first `rows` questions (0 for all) of a task.

    Raises:
        SuiteError: unknown task, no folder, or a file that is missing or lacks a column.
    """
    if name not in READERS:
        raise did_you_mean("zero-shot task", name, list(READERS))
    read, columns = READERS[name]
    if folder is None:
        raise SuiteError(f"zero-shot task {name} needs data", "give --data-dir with zero_shot/NAME.jsonl")
    found = [p for p in sorted((folder / "zero_shot").glob(f"{name}*.jsonl")) if _is_of(p.stem, name)]
    if not found:
        raise SuiteError(f"{folder} has no zero_shot/{name}.jsonl", f"put it there, columns {columns}")
    items = [_parse(read, row, where, columns) for where, row in islice(read_rows(found[0]), rows or None)]
    if not items:
        raise SuiteError(f"{found[0]} is empty", f"put JSON objects there, one per line, columns {columns}")
    return items


def _is_of(stem: str, name: str) -> bool:
    return stem == name or stem.removeprefix(f"{name}_").isdigit()  # NAME_1000 holds 1,000 rows of NAME


def _parse(read: Callable[[dict[str, Any]], Item], row: dict[str, Any], where: str, columns: str) -> Item:
    try:
        item = read(row)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SuiteError(f"{where} is no row of the task", f"write one JSON object a line, columns {columns}") from None
    if not 0 <= item.label < len(item.pairs):
        raise SuiteError(f"{where} has the label {item.label} for {len(item.pairs)} choices", "count labels from 0")
    return item


def score_items(name: str, model: "nn.Module", tokenizer: Any, items: Sequence[Item]) -> Scored:
    """Accuracy in percent by plain (`NAME`) and by length-normalised (`NAME_norm`) log-likelihood.

    LAMBADA has no choices: its accuracy counts last words that greedy decoding gives, and `NAME_perplexity` is
    that of the last word. Predictions are the hits of each question, and of LAMBADA also the log-likelihoods.
    """
    from benchmark.tasks.multiple_choice.likelihood import likelihoods

    found = iter(likelihoods(model, tokenizer, [pair for item in items for pair in item.pairs]))
    scored = [[next(found) for _ in item.pairs] for item in items]
    if name == "lambada":
        totals = np.array([choices[0].total for choices in scored])
        hits = {name: np.array([choices[0].greedy for choices in scored])}
        perplexity = {f"{name}_perplexity": round(math.exp(min(-float(totals.mean()), 700.0)), 4)}
        return Scored(_percent(hits) | perplexity, predictions=hits | {f"{name}_nll": -totals})
    plain = [_best([c.total for c in choices]) == item.label for choices, item in zip(scored, items, strict=True)]
    normed = [
        _best([c.total / n for c, n in zip(choices, item.lengths, strict=True)]) == item.label
        for choices, item in zip(scored, items, strict=True)
    ]
    hits = {name: np.array(plain), f"{name}_norm": np.array(normed)}
    return Scored(_percent(hits), predictions=hits)


def _percent(hits: "dict[str, np.ndarray]") -> dict[str, float]:
    return {name: round(100 * float(found.mean()), 4) for name, found in hits.items()}


def _best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)
