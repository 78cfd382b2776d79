"""The bench that cells run on: a task's data, encoded, and the pretrained model, loaded once a task."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cells import Cell
from benchmark.data import TaskData
from benchmark.kinds import Kind, kind_of
from benchmark.models import get_model, weights_digest
from benchmark.prepare import prepare
from benchmark.presets import Preset
from benchmark.tasks import Task, get_task
from benchmark.zero_shot import Item, load_items
from vtrans.errors import SuiteError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vtrans.examples import Examples
    from vtrans.settings import Precision
    from vtrans.training import Report


@dataclass
class Bench:
    """A task, loaded: data, tokeniser, pretrained model."""

    task: Task
    data: TaskData
    tokenizer: Any
    source: Path
    train: "Examples"
    evaluation: "Examples"
    also: "Examples | None"
    model_digest: str
    max_length: int
    latency: tuple[int, int] = (1, 32)
    precision: "Precision" = "fp32"
    zero_shot: dict[str, list[Item]] = field(default_factory=dict)
    folder: Path | None = None

    @classmethod
    def load(cls, cell: Cell, folder: Path | None, cache: Path, report: "Report | None" = None) -> "Bench":
        """Load what a cell needs; a model that the suite pre-trains itself is kept in `cache`."""
        task, spec = get_task(cell.task), get_model(cell.preset.model)
        source = prepare(spec, cache, report)
        bench = cls.open(task, source, folder, cell.split, cell.preset.max_length)
        return bench.scoped(cell.preset, folder)

    @classmethod
    def open(cls, task: Task, model: Path, folder: Path | None, split: str, max_length: int) -> "Bench":
        """Load a task for the model in a folder."""
        kind = kind_of(task)
        data, tokenizer = kind.load(task, folder, split), load_tokenizer(model)
        check_positions(model, max_length)
        train, evaluation = (kind.encode(task, rows, tokenizer, max_length) for rows in (data.train, data.evaluation))
        also = kind.encode(task, data.also, tokenizer, max_length) if data.also else None
        return cls(task, data, tokenizer, model, train, evaluation, also, weights_digest(model), max_length)

    def scoped(self, preset: Preset, folder: Path | None) -> "Bench":
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


def autocast(precision: "Precision") -> "torch.autocast":
    """Context in which metrics are computed in a precision, or in what `auto` means on the device."""
    import torch

    from vtrans.precision import DTYPES, resolve

    used = resolve(precision, device())
    return torch.autocast(device().type, dtype=DTYPES[used] if used != "fp32" else None, enabled=used != "fp32")


def check_positions(source: Path, length: int) -> None:
    """Raise `SuiteError` where sequences of `length` tokens are longer than the model in `source` has positions."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source, local_files_only=True)
    reserved = (config.pad_token_id or 0) + 1 if config.model_type == "roberta" else 0  # its positions start there
    positions = config.max_position_embeddings - reserved
    if length > positions:
        raise SuiteError(
            f"sequences of {length} tokens are longer than the {positions} positions of {source}",
            "use a preset of shorter sequences or a model with more positions",
        )


def load_tokenizer(source: Path) -> Any:
    """The tokenizer of a model folder.

    Raises:
        SuiteError: it is missing, damaged, or too large for the model's embeddings.
    """
    from transformers import AutoConfig, AutoTokenizer

    if not any((source / name).exists() for name in ("tokenizer.json", "vocab.txt")):
        raise SuiteError(f"{source} has no tokenizer", "save it there with tokenizer.save_pretrained")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
        rows = AutoConfig.from_pretrained(source, local_files_only=True).vocab_size
    except Exception as error:  # the library raises OSError, ValueError, KeyError and its own
        raise SuiteError(f"{source} has a damaged tokenizer ({type(error).__name__})", "save it again") from None
    if len(tokenizer) > rows:
        raise SuiteError(
            f"the tokenizer has {len(tokenizer)} tokens, the model {rows}", "give the model its own tokenizer"
        )
    return tokenizer


def device() -> "torch.device":
    """Where runs take place: the first GPU where there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
