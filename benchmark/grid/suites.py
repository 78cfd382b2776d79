"""Presets: which model, tasks, seeds and schedules, suite by suite. Every number here enters the run keys."""

from dataclasses import dataclass

from benchmark.grid.presets import glue, llm, lm, mlm, squad
from benchmark.grid.presets.base import Preset
from vtrans.errors import SuiteError, did_you_mean

__all__ = ["SUITES", "Preset", "Suite", "get_preset", "get_suite"]


@dataclass(frozen=True)
class Suite:
    """A grid of rows and tasks at several scales.

    Attributes:
        summary: one line on it.
        presets: by name.
        home: suite whose dense rows it starts from, and whose presets it shares; empty for its own.
        rows: field of the presets with its rows.
    """

    summary: str
    presets: dict[str, Preset]
    home: str = ""
    rows: str = "rows"


_GLUE = {preset.name: preset for preset in glue.PRESETS}
SUITES = {
    "glue": Suite("classification and regression of GLUE, or of Rotten Tomatoes under `quick`", _GLUE),
    "ablations": Suite(
        "Infor-Coef: its losses, the skim loss in their place, and how hard tokens are pressed",
        _GLUE,
        home="glue",
        rows="ablations",
    ),
    "embeddings": Suite(
        "VTrans with embeddings pruned against CoFi without, at equal shares of all parameters",
        _GLUE,
        home="glue",
        rows="embeddings",
    ),
    "mlm": Suite(
        "masked language modelling: encoders pruned on text, without a task",
        {preset.name: preset for preset in mlm.PRESETS},
    ),
    "agnostic": Suite(
        "tasks of GLUE on encoders that were pruned on text, in the suite `mlm`",
        _GLUE,
        home="glue",
        rows="agnostic",
    ),
    "squad": Suite(
        "extractive question answering: SQuAD v1.1, and v2",
        {preset.name: preset for preset in squad.PRESETS},
    ),
    "lm": Suite(
        "language modelling: perplexity of WikiText, or of IMDB under `quick`",
        {preset.name: preset for preset in lm.PRESETS},
    ),
    "llm": Suite(
        "pre-trained language models pruned by their gates alone: perplexity and zero-shot tasks",
        {preset.name: preset for preset in llm.PRESETS},
    ),
}


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


def suite_of(task: str) -> str:
    """The suite that has a task.

    Raises:
        SuiteError: none has it.
    """
    for name, suite in SUITES.items():
        if any(task in (*preset.tasks, *preset.more_tasks) for preset in suite.presets.values()):
            return name
    raise SuiteError(f"no suite has the task {task!r}", "see `vtrans-bench list suites`")
