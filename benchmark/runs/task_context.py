"""The context that cells run on: a task's data, encoded, and the pretrained model, loaded once per task."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.common.checkpoints import check_positions, load_tokenizer
from benchmark.common.device import device
from benchmark.common.digests import weights_digest
from benchmark.grid.cells import Cell
from benchmark.grid.suites import Preset
from benchmark.models.prepare import prepare
from benchmark.models.registry import get_model
from benchmark.tasks.kind import Kind, TaskData, kind_of
from benchmark.tasks.multiple_choice.items import Item, load_items
from benchmark.tasks.registry import Task, get_task
from vtrans import ranks

if TYPE_CHECKING:
    from torch import nn

    from vtrans.data.examples import Examples
    from vtrans.settings import Precision
    from vtrans.training.engine import Engine
    from vtrans.training.loop import Report


@dataclass
class TaskContext:
    """A task, loaded: data, tokenizer, pretrained model."""

    task: Task
    data: TaskData
    tokenizer: Any
    source: Path
    train: "Examples"
    evaluation: "Examples"
    also: "Examples | None"
    model_digest: str
    max_length: int
    latency: tuple[int, ...] = (1, 32)
    precision: "Precision" = "fp32"
    zero_shot: dict[str, list[Item]] = field(default_factory=dict)
    folder: Path | None = None
    engine: "Engine | None" = None

    @classmethod
    def load(cls, cell: Cell, folder: Path | None, cache: Path, report: "Report | None" = None) -> "TaskContext":
        """Load what a cell needs; a model that the suite pre-trains itself is kept in `cache`."""
        task, spec = get_task(cell.task), get_model(cell.preset.model)
        with ranks.first_then_others():
            source = prepare(spec, cache, report)
        context = cls.open(task, source, folder, cell.split, cell.preset.max_length)
        return context.scoped(cell.preset.on(cell.split), folder)

    @classmethod
    def open(cls, task: Task, model: Path, folder: Path | None, split: str, max_length: int) -> "TaskContext":
        """Load a task for the model in a folder."""
        kind = kind_of(task)
        data, tokenizer = kind.load(task, folder, split), load_tokenizer(model)
        check_positions(model, max_length)
        train, evaluation, also = (
            kind.encode_for(model, task, rows, tokenizer, max_length) if rows else None
            for rows in (data.train, data.evaluation, data.also)
        )
        assert train is not None and evaluation is not None, "a task without rows is refused when it is loaded"
        return cls(task, data, tokenizer, model, train, evaluation, also, weights_digest(model), max_length)

    def scoped(self, preset: Preset, folder: Path | None) -> "TaskContext":
        """The same within a preset's bounds, with its zero-shot tasks."""
        rows = preset.evaluation_rows or len(self.evaluation)
        return replace(
            self,
            evaluation=self.evaluation.take(range(min(rows, len(self.evaluation)))),
            folder=folder,
            latency=preset.latency,
            precision=preset.evaluation_precision,
            zero_shot={name: load_items(name, folder, preset.zero_shot_rows) for name in preset.zero_shot},
        )

    @property
    def kind(self) -> Kind:
        """What is particular to the task's kind."""
        return kind_of(self.task)

    @property
    def fixed_length(self) -> int:
        """Tokens that `sequence` padding pads to: the task's, where sequences are not cut shorter."""
        return min(self.task.fixed_length or self.max_length, self.max_length)

    def pretrained(self, seed: int) -> "nn.Module":
        """The pretrained model with a task head drawn from `seed`."""
        return self.kind.pretrained(self.source, self.task, seed).to(device())


Watch = Callable[[str], AbstractContextManager["Report | None"]]


@contextmanager
def no_watch(name: str) -> Iterator[None]:
    """Report nothing."""
    yield None


class Contexts:
    """The contexts of a grid, each loaded when its task is first asked for, and once.

    Args:
        folder: what `--data-dir` names.
        cache: for models that the suite makes itself.
        watch: opens, for the name of such a model, the function that its steps are reported to.
        timed: whether latency is measured.
        engine: where training steps run; None for this process alone.
    """

    def __init__(
        self,
        folder: Path | None,
        cache: Path,
        watch: Watch = no_watch,
        timed: bool = True,
        engine: "Engine | None" = None,
    ) -> None:
        self.folder, self.cache, self.watch, self.timed, self.engine = folder, cache, watch, timed, engine
        self._loaded: dict[str, TaskContext] = {}

    def of(self, cell: Cell) -> TaskContext:
        """The context of a cell's task."""
        if cell.task not in self._loaded:
            made = get_model(cell.preset.model).prepared
            with self.watch(cell.preset.model) if made else nullcontext() as report:
                found = TaskContext.load(cell, self.folder, self.cache, report)
            found = found if self.timed else replace(found, latency=())
            self._loaded[cell.task] = replace(found, engine=self.engine)
        return self._loaded[cell.task]
