"""Numbers of units that a model has, exact or expected."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vtrans.anatomy import Anatomy
from vtrans.pruning.masks import Masks


@dataclass(frozen=True)
class Counts:
    """Numbers of units, exact or expected. Layer tensors are `(layers,)`, `hidden` is 0-d.

    `heads` and `ffn` are already 0 (or weighted) where their sub-layer is gone; `attention` and
    `ffn_layer` are the sub-layers themselves, for what they own beside units: output bias and norm.
    """

    hidden: Tensor
    heads: Tensor
    ffn: Tensor
    attention: Tensor
    ffn_layer: Tensor

    @classmethod
    def dense(cls, anatomy: Anatomy) -> "Counts":
        """All units of a model."""
        return cls.of(Masks.dense(anatomy))

    @classmethod
    def of(cls, multipliers: Masks) -> "Counts":
        """Units that a decision keeps, as exact float64 counts."""
        kept = multipliers.kept()  # plain numbers: exact counts live on the CPU
        tensors = [torch.tensor(kept[name], dtype=torch.float64) for name in ("hidden", "heads", "ffn")]
        alive = (multipliers.attention_alive, multipliers.ffn_alive)
        return cls(*tensors, *(torch.tensor(flags, dtype=torch.float64) for flags in alive))
