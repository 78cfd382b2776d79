"""What a grid will take on this machine, by a few steps timed before it trains."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import TYPE_CHECKING, cast

import torch

from benchmark.common.device import autocast, device
from benchmark.grid.cells import Cell
from benchmark.grid.cost import passes
from benchmark.records.provenance import hardware
from benchmark.records.store import Store, with_missing
from benchmark.runs.progress import duration
from benchmark.runs.task_context import TaskContext
from vtrans.data.examples import Batches, unlabelled
from vtrans.forecast import TRAINED
from vtrans.objectives.base import TaskObjective
from vtrans.settings import Precision, Schedule
from vtrans.training.loop import Loop
from vtrans.training.precision import resolve

if TYPE_CHECKING:
    from torch import nn

QUANTILES = (0.5, 0.1, 0.3, 0.5, 0.7, 0.9)  # of the batches by length; the first one warms up
EVALUATION_BATCH = 32
CHARACTERS = 4  # of English text in a token, about


@dataclass(frozen=True)
class Estimate:
    """Seconds that cells will take; `steps` is the mean time of a training step per task."""

    cells: dict[Cell, float]
    steps: dict[str, float]
    precision: str

    @property
    def total(self) -> float:
        """All cells together."""
        return sum(self.cells.values())

    def lines(self) -> list[str]:
        """One line per row and task, and one on all."""
        found = [f"training runs in {self.precision} on {machine()}"]
        for (task, row), seconds in self._by_row().items():
            found.append(f"  {task} {row}: {duration(mean(seconds))}" + (f" x {len(seconds)}" if seconds[1:] else ""))
        steps = ", ".join(f"{task} {seconds:.2f} s" for task, seconds in self.steps.items())
        whole = f"estimate: about {duration(self.total)} for {len(self.cells)} cells; a training step takes {steps}"
        return [*found, whole]

    def _by_row(self) -> dict[tuple[str, str], list[float]]:
        rows: dict[tuple[str, str], list[float]] = {}
        for cell, seconds in self.cells.items():
            rows.setdefault((cell.task, cell.row), []).append(seconds)
        return rows


def machine() -> str:
    """The device and how much of it is used."""
    found = hardware()
    return found["gpu"] or f"{found['processor']} ({found['capability']}, {found['threads']} threads)"


def estimate(cells: Sequence[Cell], store: Store, contexts: dict[str, TaskContext]) -> Estimate:
    """Time a few steps per task and say what cells, and those they start from and that are missing, will take."""
    needed = [cell for cell in with_missing(cells, store) if cell.task in contexts]
    seconds: dict[Cell, float] = {}
    steps: dict[str, float] = {}
    for task in dict.fromkeys(cell.task for cell in needed):
        context, first = contexts[task], next(cell for cell in needed if cell.task == task)
        schedules = first.preset.schedules(task)
        schedule = schedules.finetune or schedules.prune
        schedule = replace(schedule, precision=cast("Precision", first.parsed.precision or schedule.precision))
        step, evaluated = time_passes(first.seed, context, schedule, finetunes=schedules.finetune is not None)
        steps[task] = step * TRAINED * schedule.batch
        for cell in (cell for cell in needed if cell.task == task):
            found = passes(cell, len(context.train), len(context.evaluation) + zero_shot_sequences(context))
            seconds[cell] = found.training * step + found.evaluation * evaluated
    return Estimate(seconds, steps, resolve(schedule.precision, device()))


def zero_shot_sequences(context: TaskContext) -> float:
    """Sequences of the full length that the choices of zero-shot tasks come to, each with its context."""
    pairs = [pair for items in context.zero_shot.values() for item in items for pair in item.pairs]
    return sum(len(text) for pair in pairs for text in pair) / CHARACTERS / context.max_length


def time_passes(seed: int, context: TaskContext, schedule: Schedule, finetunes: bool) -> tuple[float, float]:
    """Seconds per forward pass over one sequence, in training and in evaluation.

    In training it is a third of a step per row; of a model that no row trains whole, a forward pass alone is timed.
    """
    model = context.pretrained(seed)
    evaluated = _time_forward(model, context, min(EVALUATION_BATCH, len(context.evaluation)), context.precision)
    if finetunes:
        return _time_steps(model, context, schedule), evaluated
    return _time_forward(model, context, schedule.batch, resolve(schedule.precision, device())), evaluated


def _time_steps(model: "nn.Module", context: TaskContext, schedule: Schedule) -> float:
    loop = Loop(TaskObjective(model), context.train, schedule, 0, "timing")
    times = [_seconds(lambda step=step: loop.step(step)) for step in spread_steps(loop.batches)]
    return mean(times[1:]) / TRAINED / schedule.batch


def spread_steps(batches: Batches) -> list[int]:
    """Steps of the first epoch whose batches are short, middling and long."""
    longest = {step: max(batches.lengths[row] for row in batches[step]) for step in range(batches.per_epoch)}
    order = sorted(longest, key=longest.__getitem__)
    return [order[int(share * len(order))] for share in QUANTILES]


@torch.no_grad()
def _time_forward(model: "nn.Module", context: TaskContext, batch: int, precision: Precision) -> float:
    model.eval()
    rows = [range(start, min(start + batch, len(context.evaluation))) for start in (0, 0, batch)]
    inputs = [{k: v.to(device()) for k, v in unlabelled(context.evaluation.batch(r)).items()} for r in rows if len(r)]
    with autocast(precision):
        times = [_seconds(lambda each=each: model(**each)) / len(each["input_ids"]) for each in inputs]
    return mean(times[1:])


def _seconds(function: object) -> float:
    start = time.perf_counter()
    function()  # type: ignore[operator]
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start
