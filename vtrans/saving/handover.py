"""Pruning that stops at one size and goes on to the next: the cut model with its gates, on disk."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vtrans.errors import SuiteError
from vtrans.pruning.gates import GateSet
from vtrans.pruning.masks import Masks
from vtrans.pruning.surgery import materialise
from vtrans.saving.pruned import load_pruned, save_pruned

GATES, FACTS = "gates.safetensors", "handover.json"
TRANSFORM = "transform"


@dataclass(frozen=True)
class Handover:
    """Where pruning goes on from.

    Attributes:
        model: what is left, its weights as trained: gates are not folded into them, because they go on.
        gates: parameters of the gates of what is left, by their names in a `GateSet`.
        transform: of the distillation, `(teacher width, width)`.
        dense: what the budget counts of the dense model, in its own unit.
    """

    model: nn.Module
    gates: dict[str, Tensor]
    transform: Tensor
    dense: float

    @classmethod
    def of(cls, model: nn.Module, gates: GateSet, decision: Masks, transform: Tensor, dense: float) -> "Handover":
        """Cut a model to a decision over its gates and take what is left."""
        survivors = (decision.hidden.detach() != 0).to(transform.device)
        return cls(materialise(model, decision.opened()), gates.surviving(decision), transform[:, survivors], dense)

    def write(self, folder: Path) -> None:
        """Write it to a folder, the file that says it is whole last.

        Raises:
            SuiteError: the folder cannot be written.
        """
        (folder / FACTS).unlink(missing_ok=True)
        save_pruned(self.model, folder)
        tensors = {name: tensor.contiguous() for name, tensor in (self.gates | {TRANSFORM: self.transform}).items()}
        try:
            save_file(tensors, folder / GATES)
            (folder / FACTS).write_text(json.dumps({"dense": self.dense}) + "\n")
        except (OSError, SafetensorError) as error:
            raise SuiteError(f"cannot write {folder}: {error}", "free some space") from None

    @classmethod
    def read(cls, folder: Path) -> "Handover":
        """Read what `write` wrote.

        Raises:
            SuiteError: a file is missing or damaged.
        """
        try:
            dense = float(json.loads((folder / FACTS).read_text())["dense"])
            gates = load_file(folder / GATES)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise SuiteError(f"{folder} holds no whole pruning state ({error})", "run the smaller size again") from None
        return cls(load_pruned(folder), gates, gates.pop(TRANSFORM), dense)

    @torch.no_grad()
    def restore(self, gates: GateSet) -> None:
        """Give new gates over the model that is left the parameters that its units had."""
        for name, parameter in gates.gates.named_parameters():
            parameter.copy_(self.gates[name])
