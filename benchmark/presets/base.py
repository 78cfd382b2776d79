"""What a preset says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmark.methods import Phases


@dataclass(frozen=True, eq=False)  # one object a preset, so that cells can be hashed
class Preset:
    """A scale at which a suite runs.

    Attributes:
        name: as in `--preset`.
        summary: one line on what it is.
        model: name in `benchmark.models`.
        tasks: tasks of the suite.
        seeds: seeds of each row.
        rows: rows of each table, the dense one first.
        ablations: rows of the suite `ablations`.
        max_length: tokens that sequences are truncated to.
        phases: schedules of a task, by its name.
        overrides: fields of methods to replace, by method name.
    """

    name: str
    summary: str
    model: str
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    rows: tuple[str, ...]
    max_length: int
    phases: Callable[[str], Phases]
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)
    ablations: tuple[str, ...] = ()
