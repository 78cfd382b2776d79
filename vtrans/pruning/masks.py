"""Masks: what gates multiply into a model, sampled while training and fixed for surgery."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from vtrans.anatomy import Anatomy


@dataclass(frozen=True)
class Masks:
    """One multiplier per unit; 0 means pruned. Each may carry leading batch and token dimensions.

    Attributes:
        hidden: `(..., hidden)`, shared by the whole residual stream.
        heads: `(..., heads)` per layer.
        ffn: `(..., ffn)` per layer.
        attention_layer: `(...,)` per layer, on the output of the attention sub-layer.
        ffn_layer: `(...,)` per layer, on the output of the FFN sub-layer.
        survivors: bool `(hidden,)`, the units that the norms run over; None for all of them.
        attention_alive, ffn_alive: False where a sub-layer is the identity.
    """

    hidden: Tensor
    heads: tuple[Tensor, ...]
    ffn: tuple[Tensor, ...]
    attention_layer: tuple[Tensor, ...]
    ffn_layer: tuple[Tensor, ...]
    survivors: Tensor | None
    attention_alive: tuple[bool, ...]
    ffn_alive: tuple[bool, ...]

    @classmethod
    def of(
        cls,
        hidden: Tensor,
        heads: Sequence[Tensor],
        ffn: Sequence[Tensor],
        attention_layer: Sequence[Tensor],
        ffn_layer: Sequence[Tensor],
        survivors: Tensor | None = None,
    ) -> "Masks":
        """Masks with what follows from them: the hidden units that norms run over, the sub-layers that are left.

        `survivors` are by default the hidden units that are not 0.
        """
        keep = hidden != 0 if survivors is None else survivors
        return cls(
            hidden=hidden,
            heads=tuple(heads),
            ffn=tuple(ffn),
            attention_layer=tuple(attention_layer),
            ffn_layer=tuple(ffn_layer),
            survivors=None if bool(keep.all()) else keep,
            attention_alive=_alive(heads, attention_layer),
            ffn_alive=_alive(ffn, ffn_layer),
        )

    @classmethod
    def dense(cls, anatomy: Anatomy) -> "Masks":
        """Ones everywhere: the model as it is."""
        one = torch.ones(())
        return cls.of(
            torch.ones(anatomy.hidden),
            [torch.ones(n) for n in anatomy.heads],
            [torch.ones(n) for n in anatomy.ffn],
            [one] * len(anatomy.blocks),
            [one] * len(anatomy.blocks),
        )

    def to(self, device: torch.device) -> "Masks":
        """The same masks on `device`."""
        tensors = {
            "hidden": self.hidden.to(device),
            "survivors": None if self.survivors is None else self.survivors.to(device),
        }
        sites = ("heads", "ffn", "attention_layer", "ffn_layer")
        return replace(self, **tensors, **{s: tuple(z.to(device) for z in getattr(self, s)) for s in sites})  # type: ignore

    def opened(self) -> "Masks":
        """The same decision with 1 for every unit that it keeps."""
        values: dict[str, Any] = {"hidden": (self.hidden != 0).to(self.hidden.dtype)}
        for site in ("heads", "ffn", "attention_layer", "ffn_layer"):
            values[site] = tuple((z != 0).to(z.dtype) for z in getattr(self, site))
        return replace(self, **values)

    def kept(self) -> dict[str, int | list[int]]:
        """Kept units: hidden, and heads and FFN units per layer (0 where the sub-layer is gone)."""
        heads = [int((z != 0).sum()) if on else 0 for z, on in zip(self.heads, self.attention_alive, strict=True)]
        ffn = [int((z != 0).sum()) if on else 0 for z, on in zip(self.ffn, self.ffn_alive, strict=True)]
        return {"hidden": int((self.hidden != 0).sum()), "heads": heads, "ffn": ffn}

    def heads_kept(self) -> list[list[int]]:
        """Indices of the kept heads of each layer; none where the sub-layer is gone."""
        pairs = zip(self.heads, self.attention_alive, strict=True)
        return [(z != 0).nonzero().flatten().tolist() if on else [] for z, on in pairs]


def _alive(units: Sequence[Tensor], layers: Sequence[Tensor]) -> tuple[bool, ...]:
    if not units:
        return ()
    # One transfer for all sub-layers: a test a sub-layer would stall an accelerator as often.
    flags = [(u.detach() != 0).any() & (z.detach() != 0).any() for u, z in zip(units, layers, strict=True)]
    return tuple(torch.stack(flags).tolist())
