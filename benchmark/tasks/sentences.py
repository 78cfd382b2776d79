"""Texts of our own for each task: a page shows on them where a model drops each word. None is a row of a data set."""

from typing import Any

from benchmark.tasks.kind import kind_of
from benchmark.tasks.registry import Task

_OPINIONS = (
    "The plot is thin and far too long, but the two leads make every scene they share a joy to watch.",
    "Nothing about this tired sequel is funny, least of all its jokes.",
    "I did not expect to like it, and I was wrong.",
)
_GRAMMAR = (
    "The gardener who planted these roses lives next door.",
    "The gardener planted who these roses next door lives.",
)
_PARAPHRASES = (
    ("The harbour was closed for two days after the storm.", "After the storm, ships could not enter for two days."),
    ("The harbour was closed for two days after the storm.", "The new harbour opens in two days."),
)
_QUESTIONS = (
    ("How long does it take to learn the violin?", "How many years do people need until they play the violin well?"),
    ("How long does it take to learn the violin?", "How long is a violin?"),
)
_ENTAILMENTS = (
    ("Two children are feeding ducks beside the old mill.", "There are birds near a building."),
    ("Two children are feeding ducks beside the old mill.", "Nobody is outside."),
)
_ANSWERED = (
    ("When was the bridge opened?", "The stone bridge, built by a guild of masons, was opened in 1741."),
    ("When was the bridge opened?", "A guild of masons built the bridge from stone that they cut upstream."),
)
SENTENCES: dict[str, tuple[tuple[str, ...], ...]] = {
    "sst2": tuple((text,) for text in _OPINIONS),
    "rotten_tomatoes": tuple((text,) for text in _OPINIONS),
    "cola": tuple((text,) for text in _GRAMMAR),
    "mrpc": _PARAPHRASES,
    "stsb": _PARAPHRASES,
    "qqp": _QUESTIONS,
    "mnli": _ENTAILMENTS,
    "rte": _ENTAILMENTS,
    "wnli": _ENTAILMENTS,
    "qnli": _ANSWERED,
    "squad": _ANSWERED[:1],
    "squad_v2": _ANSWERED,
}


def rows(task: Task) -> list[Any]:
    """The task's sentences as rows of its kind, their labels without meaning; none for a task that has none."""
    return [kind_of(task).parse(task, _columns(task, texts), "a sentence") for texts in SENTENCES.get(task.name, ())]


def _columns(task: Task, texts: tuple[str, ...]) -> dict[str, Any]:
    if task.texts:
        return dict(zip(task.texts, texts, strict=True)) | {"label": 0}
    answer = "1741"
    found = texts[1].find(answer)
    answers = {"text": [answer], "answer_start": [found]} if found >= 0 else {"text": [], "answer_start": []}
    return {"id": texts[1], "question": texts[0], "context": texts[1], "answers": answers}
