"""Evaluate a model folder as it is, dense or pruned: the metrics of a task, and zero-shot tasks for language models."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from benchmark.commands.user_model import check_head, check_model_class, cut_at, find_model, is_pruned_folder
from benchmark.common.checkpoints import check_positions, load_tokenizer
from benchmark.common.device import autocast, device
from benchmark.grid.suites import get_preset, suite_of
from benchmark.tasks.kind import kind_of
from benchmark.tasks.multiple_choice.items import load_items, score_items
from benchmark.tasks.registry import Task
from vtrans.errors import SuiteError
from vtrans.settings import Precision
from vtrans.training.precision import check_precision

if TYPE_CHECKING:
    from torch import nn

    from vtrans.data.examples import Examples


@dataclass(frozen=True)
class EvaluateRequest:
    """What `vtrans-bench evaluate` was asked for; see its help."""

    model: str
    task: Task
    preset: str = "quick"
    data_dir: Path | None = None
    length: int = 0
    stride: int = 0
    zero_shot: tuple[str, ...] = ()
    zero_shot_rows: int = 0
    precision: str = ""


def evaluate_model(request: EvaluateRequest) -> dict[str, float]:
    """Metrics of the task, on all of its validation split (the test split of a text), and of the zero-shot tasks.

    Raises:
        SuiteError: bad input, or a model without a head for the task.
    """
    check_precision(request.precision or "auto", device())
    task, preset = request.task, get_preset(request.preset, suite_of(request.task))
    source = find_model(request.model, pruned=True)
    length = cut_at(source, request.length, preset.max_length)
    check_positions(source, length)
    tokenizer, kind = load_tokenizer(source), kind_of(task)
    check_room(length, task, tokenizer)
    if request.zero_shot_rows and not request.zero_shot:
        raise SuiteError("--zero-shot-rows is for zero-shot tasks", "name them with --zero-shot")
    items = {name: load_items(name, request.data_dir, request.zero_shot_rows) for name in request.zero_shot}
    if items and not kind.decodes:
        raise SuiteError(
            f"zero-shot tasks need a causal language model, and {task.name} is for others", "leave out --zero-shot"
        )
    model = load(source, task).to(device())
    # With zero-shot tasks the folder is theirs, and of the other rows only where these may come from one.
    folder = request.data_dir if task.source.takes_folder or not items else None
    data = kind.load(task, folder, "validation")
    examples = strided(kind.encode_for(source, task, data.evaluation, tokenizer, length), request.stride, task)
    with autocast(cast("Precision", request.precision or preset.evaluation_precision)):
        metrics = kind.evaluate(task, model, examples).metrics
        for name, rows in items.items():
            metrics |= score_items(name, model, tokenizer, rows).metrics
    return metrics | {f"n ({kind.unit})": float(kind.count(data.evaluation, examples))}


def load(source: Path, task: Task) -> "nn.Module":
    """The model of a folder, pruned or not.

    Raises:
        SuiteError: it is damaged, or has no head for the task.
    """
    from vtrans.saving.pruned import load_pruned

    pruned = is_pruned_folder(source)
    model: Any = load_pruned(source) if pruned else None
    check_head(source, task, type(model).__name__ if pruned else "")
    model = model if pruned else kind_of(task).pretrained(source, task, 0)
    check_model_class(model, task)
    kind_of(task).check_head(task, model.config)
    found: nn.Module = model.eval()
    return found


def check_room(length: int, task: Task, tokenizer: Any) -> None:
    """Raise `SuiteError` where sequences of `length` tokens have no room for two beside the special ones."""
    least = kind_of(task).least_tokens(tokenizer)
    if length < least:
        raise SuiteError(f"sequences of {length} tokens hold no text", f"give --max-length {least} at least")


def strided(examples: "Examples", stride: int, task: Task) -> "Examples":
    """The windows of a text anew, each `stride` tokens after the one before; 0 leaves them without overlap.

    Raises:
        SuiteError: a stride for a task that is no language modelling, or one outside the window.
    """
    from vtrans.data.windows import Windows

    if not stride:
        return examples
    if not isinstance(examples, Windows):
        raise SuiteError(f"{task.name} has no windows to stride over", "leave out --stride")
    return examples.strided(stride)


def lines(metrics: dict[str, float]) -> Sequence[str]:
    """One line a metric."""
    return [f"{name:24} {value:,.4f}".rstrip("0").rstrip(".") for name, value in metrics.items()]
