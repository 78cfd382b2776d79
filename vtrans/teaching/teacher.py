"""The dense model that a run starts from and learns from, in memory only while somebody needs it."""

import copy
import hashlib
import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

NAMES = ("_name_or_path", "transformers_version")  # of a config, which change nothing that it computes


class Teacher:
    """A dense, fine-tuned model that is never changed.

    Args:
        model: it, where it is in memory.
        load: how to load it, where it lies in a folder: `release` then takes it out of memory until it is needed.
        folder: the folder, where stages may read its files.

    Raises:
        ValueError: neither is given.
    """

    def __init__(
        self,
        model: "nn.Module | None" = None,
        load: "Callable[[], nn.Module] | None" = None,
        folder: Path | None = None,
    ) -> None:
        if model is None and load is None:
            raise ValueError("a teacher needs a model or a way to load one")
        self._model, self._load, self.folder = model, load, folder

    @property
    def model(self) -> "nn.Module":
        """The model, loaded where it is not in memory."""
        if self._model is None:
            assert self._load is not None
            self._model = self._load()
        return self._model

    def copy(self) -> "nn.Module":
        """A model of its own for a student to start from."""
        return self._load() if self._load else copy.deepcopy(self.model)

    def release(self) -> None:
        """Let go of the model, where it can be loaded again."""
        if self._load:
            self._model = None

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Hidden width and number of layers; of one that may be in shards, by its config."""
        from vtrans.anatomy import anatomy_of

        if self.folder:
            from transformers import AutoConfig

            config = AutoConfig.from_pretrained(self.folder, local_files_only=True)
            return config.hidden_size, config.num_hidden_layers
        anatomy = anatomy_of(self.model)
        return anatomy.hidden, len(anatomy.blocks)

    @cached_property
    def digest(self) -> str:
        """sha256 of its class, its config, and its weights and buffers with their names."""
        import torch

        config = getattr(self.model, "config", None)
        facts = {name: str(value) for name, value in (config.to_dict() if config else {}).items() if name not in NAMES}
        found = hashlib.sha256(json.dumps([type(self.model).__name__, facts], sort_keys=True).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            found.update(name.encode())
            found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return found.hexdigest()
