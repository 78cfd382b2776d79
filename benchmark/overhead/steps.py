"""What the suite itself costs, as ratios: `nox -s bench`.

Training steps are taken in turns in one process (plain fine-tuning, gated, gated with distillation), so
that a noisy machine disturbs all alike; printed are medians and quartiles of the ratios.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from vtrans.settings import Budget, Distillation, Schedule

if TYPE_CHECKING:
    from torch import nn

    from vtrans.data.examples import Examples
    from vtrans.training.loop import Loop

STEPS, WARMUP, BATCH, LENGTH = 40, 5, 32, 32
LIMITS = {"gated": 1.15, "gated + distillation": 1.6}


def main() -> None:
    """Print all figures, one per line."""
    from benchmark.commands.options import echo
    from benchmark.overhead.tokens import token_ratios, varied_examples

    echo(f"command line start (`list`): {best_of(lambda: _command('list')):.2f} s, limit 0.7 s")
    echo(f"plan of 1,000 cells: {plan_seconds(1000):.2f} s, limit 1 s")
    echo(f"count MACs and parameters of a BERT-base: {count_seconds():.2f} s, limit 3 s")
    echo(
        f"training steps of MiniLM-L6, batch {BATCH}, length {LENGTH}, {training_precision()}, over plain fine-tuning:"
    )
    for name, (low, median, high) in step_ratios().items():
        echo(f"  {name}: {median:.3f} (quartiles {low:.3f} to {high:.3f}, n = {STEPS}), limit {LIMITS[name]}")
    echo("token dropping, MiniLM-L6, rows of 8 to 48 tokens, measured speed-up (quartiles) beside that in MACs:")
    for name, found in token_ratios(minilm().eval(), varied_examples()).items():
        for batch, macs in zip((1, 32), found["macs"], strict=True):
            low, median, high = found[f"b{batch}"]
            echo(
                f"  {name}, batch {batch}: {median:.2f} ({low:.2f} to {high:.2f}) of {macs:.2f}, "
                f"efficiency {median / macs:.2f}"
            )


def training_precision() -> str:
    """What `auto` means on this machine."""
    from benchmark.common.device import device
    from vtrans.training.precision import resolve

    return resolve("auto", device())


def best_of(function: Callable[[], None], rounds: int = 5) -> float:
    """Shortest time of a few calls, in seconds."""
    return min(_seconds(function) for _ in range(rounds))


def _seconds(function: Callable[[], None]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _command(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "benchmark", *arguments], stdout=subprocess.DEVNULL, check=True)


def plan_seconds(cells: int) -> float:
    """Seconds to plan at least `cells` cells and look each up in an empty store."""
    from pathlib import Path

    from benchmark.grid.cells import plan
    from benchmark.records.store import Store

    def run() -> None:
        store = Store(Path("no-such-folder"), "glue", "small")
        per_seed = len(plan("glue", "small", seeds=[0]))
        planned = plan("glue", "small", seeds=list(range(-(-cells // per_seed))))
        for cell in planned:
            store.state(cell)

    return _seconds(run)


def count_seconds() -> float:
    """Seconds to count one BERT-base: the MAC curve by fvcore and both parameter counts."""
    from transformers import BertConfig, BertForSequenceClassification

    from benchmark.measure.macs import MacCurve
    from benchmark.runs.outcome import count_parameters

    model = BertForSequenceClassification(BertConfig())

    def run() -> None:
        MacCurve.of(model)
        count_parameters(model, model)

    return best_of(run, 3)


def step_ratios() -> dict[str, list[float]]:
    """Quartiles of the ratio of each kind of step to the plain step taken just before it."""
    import numpy as np

    loops = step_loops()
    times: dict[str, list[float]] = {name: [] for name in loops}
    for step in range(WARMUP + STEPS):
        for name, loop in loops.items():
            times[name].append(_seconds(lambda loop=loop, step=step: loop.step(step)))  # type: ignore[misc]
    plain = np.array(times.pop("plain"))
    ratios = {name: (np.array(values) / plain)[WARMUP:] for name, values in times.items()}
    return {name: np.percentile(values, (25, 50, 75)).tolist() for name, values in ratios.items()}


def step_loops() -> "dict[str, Loop]":
    """Training loops of the three kinds of steps, each with its own copy of the same model."""
    from vtrans.objectives.base import TaskObjective
    from vtrans.training.loop import Loop

    schedule, examples = Schedule(steps=1000, batch=BATCH), fixed_examples()
    loops = {"plain": Loop(TaskObjective(minilm()), examples, schedule, 0, "plain")}
    loops["gated"] = pruning_loop(Distillation(prediction=0.0, layer=0.0, task=1.0), schedule, examples)
    loops["gated + distillation"] = pruning_loop(Distillation(), schedule, examples)
    return loops


def pruning_loop(distillation: Distillation, schedule: Schedule, examples: "Examples") -> "Loop":
    """A loop of VTrans's pruning stage, its gates applied for as long as the process lives."""
    from vtrans.methods.base import CompressionState
    from vtrans.methods.stages import Prune
    from vtrans.methods.vtrans import VTrans
    from vtrans.teaching.teacher import Teacher
    from vtrans.training.loop import Loop, RunContext

    prune = VTrans(Budget(0.6), schedule, schedule).stages()[0]
    assert isinstance(prune, Prune)
    state = CompressionState(Teacher(minilm()), examples, 0, RunContext())
    objective, _ = replace(prune, distillation=distillation).objective(state)
    objective.context().__enter__()
    return Loop(objective, examples, schedule, 0, "gated")


def minilm() -> "nn.Module":
    """A classifier of MiniLM-L6's shape with random weights."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    shape = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    found: nn.Module = BertForSequenceClassification(BertConfig(**shape))
    return found


def fixed_examples() -> "Examples":
    """Random rows of one length."""
    import torch

    from vtrans.data.examples import Examples

    ids = torch.randint(1000, 30000, (64 * BATCH, LENGTH)).tolist()
    return Examples(ids, [[0] * LENGTH] * len(ids), torch.randint(2, (len(ids),)), 0)
