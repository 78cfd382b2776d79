"""Training steps of every stage over a plain step of fine-tuning, taken in turns in one process."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from benchmark.overhead.models import BATCH, cut, fixed_examples, minilm, new_state
from benchmark.overhead.ratios import Ratio
from vtrans.settings import Budget, Distillation, Schedule

if TYPE_CHECKING:
    from vtrans.data.examples import Examples
    from vtrans.teaching.cache import TeacherCache
    from vtrans.training.loop import Loop

STEPS, WARMUP = 30, 5
SCHEDULE = Schedule(steps=STEPS + WARMUP, batch=BATCH)
TASK_ONLY = Distillation(prediction=0.0, layer=0.0, task=1.0)
RECOVERY = {0.6: 0.55, 0.8: 0.35, 0.95: 0.2}  # limits by sparsity
LIMITS = {"gated": 1.15, "pruning": 1.15} | {f"recovery at {share:.0%}": limit for share, limit in RECOVERY.items()}
PLAIN, STOCK = "fine-tuning", "fine-tuning with torch's own dropout"


def step_ratios(folder: Path) -> list[Ratio]:
    """Ratio of each kind of step to the plain step taken just before it; outputs of the teacher go to `folder`."""
    times = step_times(step_loops(folder), STEPS, WARMUP)
    plain = times.pop(PLAIN)
    ideal = {f"recovery at {share:.0%}": f", {1 - share:.2f} by MACs" for share in RECOVERY}
    return [
        Ratio.of(name, [a / b for a, b in zip(found, plain, strict=True)], LIMITS.get(name), note=ideal.get(name, ""))
        for name, found in times.items()
    ]


def step_times(loops: "dict[str, Loop]", steps: int, warmup: int) -> dict[str, list[float]]:
    """Seconds of the steps of some loops, taken in turns, the first ones left out."""
    times: dict[str, list[float]] = {name: [] for name in loops}
    for step in range(warmup + steps):
        for name, loop in loops.items():
            with _stock_dropout() if name == STOCK else nullcontext():
                times[name].append(seconds_of(lambda loop=loop, step=step: loop.step(step)))  # type: ignore[misc]
    return {name: found[warmup:] for name, found in times.items()}


@contextmanager
def _stock_dropout() -> Iterator[None]:
    with mock.patch("vtrans.training.loop.cheap_dropout", lambda model: nullcontext()):
        yield


def seconds_of(function: Callable[[], object]) -> float:
    """Time of a call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def step_loops(folder: Path) -> "dict[str, Loop]":
    """Training loops of all kinds of steps, each with its own copy of the same model."""
    from vtrans.objectives.base import TaskObjective
    from vtrans.teaching.cache import TeacherCache
    from vtrans.training.loop import Loop

    examples, cache = fixed_examples(), TeacherCache(folder)
    loops = {name: Loop(TaskObjective(minilm()), examples, SCHEDULE, 0, name) for name in (PLAIN, STOCK)}
    loops["gated"] = pruning_loop(TASK_ONLY, examples, None)
    loops["pruning"] = pruning_loop(Distillation(), examples, cache)
    loops["pruning, the teacher running"] = pruning_loop(Distillation(), examples, None)
    return loops | {f"recovery at {share:.0%}": recovery_loop(share, examples, cache) for share in RECOVERY}


def pruning_loop(
    distillation: Distillation, examples: "Examples", cache: "TeacherCache | None", kept: float = 1.0
) -> "Loop":
    """A loop of VTrans's pruning stage on a model cut to a share; its gates stay for as long as the process lives."""
    from dataclasses import replace

    from vtrans.methods.stages import Prune
    from vtrans.methods.vtrans import VTrans
    from vtrans.training.loop import Loop

    prune, state = VTrans(Budget(0.6), SCHEDULE, SCHEDULE).stages()[0], new_state(examples, cache)
    assert isinstance(prune, Prune)
    if kept < 1:
        cut(state, 1 - kept)
        state.decision = None
    objective, rows = replace(prune, distillation=distillation).objective(state)
    objective.context().__enter__()
    return Loop(objective, rows, SCHEDULE, 0, "pruning")


def recovery_loop(sparsity: float, examples: "Examples", cache: "TeacherCache") -> "Loop":
    """A loop of recovery, on the model cut to a sparsity."""
    from vtrans.methods.distillation_setup import prepare
    from vtrans.methods.stages import Recover
    from vtrans.objectives.base import RecoveryObjective
    from vtrans.training.loop import Loop

    state = new_state(examples, cache)
    small = cut(state, sparsity)
    setup = prepare(state, Recover(SCHEDULE), Distillation(), SCHEDULE)
    return Loop(RecoveryObjective(small, setup.distiller), setup.rows, SCHEDULE, 0, "recovery")
