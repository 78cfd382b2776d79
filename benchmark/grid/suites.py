"""Presets: which model, tasks, seeds and schedules, suite by suite. Every number here enters the run keys."""

from dataclasses import dataclass
from typing import Any

from benchmark.grid.presets import glue, llm, lm, mlm, search, squad
from benchmark.grid.presets.base import Preset
from benchmark.tasks.registry import Task
from vtrans.errors import did_you_mean

__all__ = ["SUITES", "Preset", "Suite", "get_preset", "get_suite"]


@dataclass(frozen=True)
class Suite:
    """A grid of rows and tasks at several scales.

    Attributes:
        summary: one line on it.
        presets: by name.
        rows: rows of each preset's tables, the dense one first, by its name.
        home: suite whose dense rows it starts from, and whose presets it shares; empty for its own.
        split: the one that it may run on, where that is not left open.
    """

    summary: str
    presets: dict[str, Preset]
    rows: dict[str, tuple[str, ...]]
    home: str = ""
    split: str = ""


def _own(summary: str, module: Any) -> Suite:
    return Suite(summary, {preset.name: preset for preset in module.PRESETS}, module.GRID)


def _beside_glue(summary: str, rows: tuple[str, ...], also: Any = glue) -> Suite:
    """A suite under the presets of GLUE, those that another suite has, too."""
    shared = {preset.name for preset in also.PRESETS}
    presets = _GLUE.presets if also is glue else {n: p for n, p in _GLUE.presets.items() if n in shared}
    return Suite(summary, presets, dict.fromkeys(presets, rows), home="glue")


_GLUE = _own("classification and regression of GLUE, or of Rotten Tomatoes under `quick`", glue)
SUITES = {
    "glue": _GLUE,
    "ablations": _beside_glue(
        "Infor-Coef: its losses, the skim loss in their place, and how hard tokens are pressed", glue.ABLATIONS
    ),
    "embeddings": _beside_glue(
        "VTrans with embeddings pruned against CoFi without, at equal shares of all parameters", glue.EMBEDDINGS
    ),
    "search": Suite(
        "rates of each method, by as many trials, on rows held out of train: --split dev",
        {name: _GLUE.presets[name] for name in search.SEARCH},
        search.SEARCH,
        home="glue",
        split="dev",
    ),
    "mlm": _own("masked language modelling: encoders pruned on text, without a task", mlm),
    "agnostic": _beside_glue(
        "tasks of GLUE on encoders that were pruned on text, in the suite `mlm`", glue.AGNOSTIC, also=mlm
    ),
    "squad": _own("extractive question answering: SQuAD v1.1, and v2", squad),
    "lm": _own("language modelling: perplexity of WikiText, or of IMDB under `quick`", lm),
    "llm": _own("pre-trained language models pruned by their gates alone: perplexity and zero-shot tasks", llm),
}
OF_KIND = {"classification": "glue", "question_answering": "squad", "causal_lm": "lm", "masked_lm": "mlm"}


def get_suite(name: str) -> Suite:
    """The suite called `name`.

    Raises:
        SuiteError: there is none.
    """
    if name not in SUITES:
        raise did_you_mean("suite", name, list(SUITES))
    return SUITES[name]


def get_preset(name: str, suite: str = "glue") -> Preset:
    """The preset of a suite called `name`.

    Raises:
        SuiteError: there is none.
    """
    presets = get_suite(suite).presets
    if name not in presets:
        raise did_you_mean("preset", name, list(presets))
    return presets[name]


def suite_of(task: Task) -> str:
    """The suite that has a task, or the first one of its kind."""
    for name, suite in SUITES.items():
        if any(task.name in (*preset.tasks, *preset.more_tasks) for preset in suite.presets.values()):
            return name
    return OF_KIND[task.kind]
