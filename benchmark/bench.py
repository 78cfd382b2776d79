"""The bench that cells run on: a task's data, encoded, and the pretrained model, loaded once a task."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cells import Cell
from benchmark.data import TaskData, encode, load_task
from benchmark.labels import check_label_names
from benchmark.models import get_model, locate
from benchmark.tasks import Task, get_task
from vtrans.errors import SuiteError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vtrans.examples import Examples


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

    @classmethod
    def load(cls, cell: Cell, folder: Path | None) -> "Bench":
        """Load what a cell needs."""
        task, spec = get_task(cell.task), get_model(cell.preset.model)
        return cls.open(task, locate(spec), folder, cell.split, cell.preset.max_length)

    @classmethod
    def open(cls, task: Task, model: Path, folder: Path | None, split: str, max_length: int) -> "Bench":
        """Load a task for the model in a folder."""
        data, tokenizer = load_task(task, folder, split), load_tokenizer(model)
        check_positions(model, max_length)
        train, evaluation = (encode(task, rows, tokenizer, max_length) for rows in (data.train, data.evaluation))
        also = encode(task, data.also, tokenizer, max_length) if data.also else None
        return cls(task, data, tokenizer, model, train, evaluation, also, file_digest(model / "model.safetensors"))

    def pretrained(self, seed: int) -> "nn.Module":
        """The pretrained model with a task head drawn from `seed`."""
        return load_pretrained(self.source, self.task, seed).to(device())


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


def load_pretrained(source: Path, task: Task, seed: int) -> "nn.Module":
    """A sequence classifier for `task` from the model in folder `source`; a missing head is drawn from `seed`."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(seed)
    config = AutoConfig.from_pretrained(source, local_files_only=True)
    if config.architectures and "Classification" in config.architectures[0]:
        check_label_names(task, config.id2label)
    names = dict(enumerate(task.labels)) or {0: "score"}
    try:
        return AutoModelForSequenceClassification.from_pretrained(
            source,
            id2label=names,
            label2id={name: i for i, name in names.items()},
            problem_type="regression" if task.regression else "single_label_classification",
            local_files_only=True,
            dtype=torch.float32,
        )
    except Exception as error:  # the library raises OSError, ValueError, RuntimeError and safetensors' own
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SuiteError(f"{source} holds no model that fits its config ({first})", "save the model again") from None


def file_digest(path: Path) -> str:
    """sha256 of a file, empty where there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
