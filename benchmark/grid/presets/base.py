"""What a preset says."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

from benchmark.tasks.registry import Task
from vtrans.settings import Budget, Precision, Schedules, Setting

SCOPE = ("evaluation_rows", "evaluation_precision", "zero_shot", "zero_shot_rows")


@dataclass(frozen=True, eq=False)  # one object a preset, so that cells can be hashed
class Preset:
    """A scale at which a suite runs.

    Attributes:
        name: as in `--preset`.
        summary: one line on what it is.
        model: name in `benchmark.models.registry`.
        tasks: tasks of the suite.
        more_tasks: tasks that run where they are asked for by name.
        seeds: seeds of each row.
        latency: batches that latency is measured at.
        evaluation_rows: sequences that are evaluated, the first ones; 0 for all.
        evaluation_precision: of the metrics; `auto` is bf16 where the device has units for it.
        zero_shot, zero_shot_rows: zero-shot tasks, and questions of each, the first ones; 0 for all.
        max_length: tokens that sequences are truncated to.
        schedules: schedules of a task, by its name.
        scale: what methods are told of it, by default its name: `quick`, `small`, `paper`.
        settings: hyper-parameters of methods that are set in all its rows, values by METHOD.PATH, as of `--set`.
        tflops: throughput that `plan` reckons with, in TFLOP/s.
        gpu: whether it is meant for a GPU.
    """

    name: str
    summary: str
    model: str
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    max_length: int
    schedules: Callable[[str], Schedules]
    scale: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    more_tasks: tuple[str, ...] = ()
    latency: tuple[int, int] = (1, 32)
    evaluation_rows: int = 0
    evaluation_precision: Precision = "auto"
    zero_shot: tuple[str, ...] = ()
    zero_shot_rows: int = 0
    tflops: float = 0.05
    gpu: bool = False

    def setting(self, suite: str, task: Task, layers: int) -> Setting:
        """What methods are built for on a task, on a model of so many layers; a budget is to come."""
        length = min(task.fixed_length or self.max_length, self.max_length)
        scale = self.scale or self.name
        return Setting(self.schedules(task.name), Budget(0.5), suite, scale, task.name, length, layers)

    def on(self, split: str) -> Self:
        """The same for a split: zero-shot questions have no rows held out of train, so that `dev` asks none."""
        return self if split == "validation" else replace(self, zero_shot=(), zero_shot_rows=0)

    @property
    def scope(self) -> dict[str, Any]:
        """What is particular to the evaluation, where something is: a part of the run key."""
        named = {name: getattr(self, name) for name in SCOPE}
        changed = {name: value for name, value in named.items() if value != getattr(type(self), name)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in changed.items()}
