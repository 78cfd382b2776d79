"""What a grid will take, before anything is loaded: FLOPs, GPU or CPU hours at a stated throughput, memory, disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.grid.cells import Cell
from benchmark.grid.sharded import estimate, stages
from benchmark.models.registry import ACTIVATIONS, GIB, Shape, get_model
from benchmark.tasks.kind import kind_of
from benchmark.tasks.registry import Task, get_task
from vtrans.forecast import Forecast
from vtrans.methods.adapters import RecoverLora
from vtrans.methods.stages import Prune, TuneScales
from vtrans.settings import Sharding

LATENCY_BATCHES = 33  # of each size that latency is measured at, per model
ADAM = 16  # bytes per parameter in training: weight, gradient and two moments in fp32
FROZEN = 4  # of a weight that gates or adapters train beside


@dataclass(frozen=True)
class Passes:
    """Forward passes of the dense model over one sequence; a backward pass counts two."""

    training: float
    evaluation: float


@dataclass(frozen=True)
class Cost:
    """What some cells take.

    Attributes:
        flops: two per multiply-accumulate, evaluation included, but for that of zero-shot tasks.
        memory: bytes on the device in training, of the cell that needs most.
        disk: bytes of the models that are kept, and of the largest checkpoint; not of teachers' outputs.
    """

    flops: float
    memory: float
    disk: float


def passes(cell: Cell, rows: int, evaluation_rows: float) -> Passes:
    """What a cell computes on so many sequences, without the cells that it starts from."""
    start = Forecast(rows)
    if cell.below:
        start.kept = 1 - (cell.below.parsed.sparsity or 0)
    if not cell.starts_dense:
        cell.base.method.forecast(start)
    state = Forecast(rows, start.kept)
    training = cell.method.forecast(state)
    return Passes(training, evaluation_rows * state.kept + timed_passes(cell.preset.latency, state.kept))


def timed_passes(latency: Sequence[int], kept: float) -> float:
    """What measuring latency takes, of the dense model and of one that keeps a share of its MACs."""
    return LATENCY_BATCHES * sum(latency) * (1 + kept)


def sequences(task: Task, max_length: int, rows: int) -> int:
    """Sequences that so many rows make, or so many tokens of a text."""
    return max(1, rows // max_length) if kind_of(task).running_text else rows


def cost(cells: Sequence[Cell]) -> Cost:
    """What cells take by the declared extents of their tasks and shapes of their models."""
    flops, disk, largest = 0.0, 0.0, 0.0
    for cell in cells:
        shape, found = get_model(cell.preset.model).shape, _passes(cell)
        flops += _flops_per_pass(cell) * (found.training + found.evaluation)
        disk += 4 * shape.parameters
        largest = max(largest, device_bytes(cell, shape))
    return Cost(flops, largest, disk + ADAM * max(get_model(c.preset.model).shape.parameters for c in cells))


def training_flops(cell: Cell) -> float:
    """FLOPs of a cell's own training by its schedules, two per multiply-accumulate, at the task's mean length."""
    return _flops_per_pass(cell) * _passes(cell).training


def _passes(cell: Cell) -> Passes:
    task = get_task(cell.task)
    train, evaluated = (sequences(task, cell.preset.max_length, n) for n in (task.train_rows, task.evaluation_rows))
    return passes(cell, train, min(evaluated, cell.preset.evaluation_rows or evaluated))


def _flops_per_pass(cell: Cell) -> float:
    task, longest = get_task(cell.task), cell.preset.max_length
    length = longest if kind_of(task).running_text else min(task.mean_tokens, longest)
    return 2 * get_model(cell.preset.model).shape.macs(length)


def device_bytes(cell: Cell, shape: Shape) -> float:
    """Memory of a cell where one process holds the model whole.

    Of the stage that needs most. Where weights train: Adam's states, a teacher in bf16, and activations of the longest
    batch in bf16; where gates or adapters do, the frozen weights in place of Adam's states; where gates do in a model
    whose backbone DeepSpeed may hold, see `benchmark.grid.sharded.estimate`. Where nothing trains: the weights and the
    logits of a pass. It is about what a GPU takes; a CPU takes several times that.
    """
    logits = 3 * 4 * shape.vocabulary if shape.decoder else 0
    trained = [stage for stage in cell.method.stages() if hasattr(stage, "schedule")]
    if not trained:
        return 2 * shape.parameters + max(cell.preset.latency) * cell.preset.max_length * logits
    return max(_stage_bytes(stage, cell, shape, logits) for stage in trained)


def _stage_bytes(stage: Any, cell: Cell, shape: Shape, logits: int) -> float:
    rows: int = -(-stage.schedule.batch // stage.schedule.accumulate)
    gates_alone = isinstance(stage, TuneScales) or (isinstance(stage, Prune) and stage.frozen)
    if gates_alone and cell.method.frozen_backbone:
        return estimate(shape, Sharding(0), 1, rows, cell.preset.max_length).total
    inside = shape.layers * (ACTIVATIONS * shape.hidden + 3 * shape.ffn) * 2
    own = FROZEN if gates_alone or isinstance(stage, RecoverLora) else ADAM
    return (own + 2) * shape.parameters + rows * cell.preset.max_length * (inside + logits)


def memory_lines(cells: Sequence[Cell], free: float) -> list[str]:
    """What each row needs of a rank's memory by stage, and which of it a device with so many free bytes has."""
    found = [f"memory of a rank, in GiB (the device at hand has {free / GIB:.1f}; * fits):"]
    for cell in {(cell.preset.name, cell.task, cell.row): cell for cell in cells}.values():
        ways = {"whole": device_bytes(cell, get_model(cell.preset.model).shape)}
        ways |= stages(cell) if cell.method.frozen_backbone else {}
        text = "; ".join(f"{name} {size / GIB:.1f}{'*' * (size <= free)}" for name, size in ways.items())
        found.append(f"  {cell.task} {cell.row}: {text}")
    return found


def lines(found: Cost, preset: str, tflops: float, on_gpu: bool) -> list[str]:
    """The cost for people, at a throughput in TFLOP/s."""
    hours = found.flops / (tflops * 1e12) / 3600
    return [
        f"estimate for {preset}: {found.flops:.2e} FLOPs, {hours:,.1f} {'GPU' if on_gpu else 'machine'}-hours "
        f"at {tflops:g} TFLOP/s (--tflops for another throughput)",
        f"memory about {found.memory / GIB:.1f} GiB on a GPU, several times that on a CPU; "
        f"disk {found.disk / GIB:.1f} GiB and what --teacher-cache allows; "
        "sequences at their mean length, without zero-shot tasks",
    ]
