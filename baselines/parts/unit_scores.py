"""Scores of heads and FFN units without training, and the best of them kept."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from vtrans.anatomy import Anatomy
    from vtrans.anatomy.base import Block
    from vtrans.pruning.masks import Masks


def unit_scores(
    model: Any, anatomy: "Anatomy", score: str, generator: "Generator | None"
) -> tuple[list["Tensor"], list["Tensor"]]:
    """Scores of the heads and of the FFN units of each layer, empty where a sub-layer is gone."""
    import torch

    if score == "random":
        heads, ffn = ([torch.rand(n, generator=generator) for n in counts] for counts in (anatomy.heads, anatomy.ffn))
        return heads, ffn
    blocks = anatomy.blocks
    heads = [_head_norms(model, b) if b.heads else torch.zeros(0) for b in blocks]
    ffn = [_norms(model, b.up, b.down, b.ffn, b.up_parts) if b.ffn else torch.zeros(0) for b in blocks]
    return heads, ffn


def _head_norms(model: Any, block: "Block") -> "Tensor":
    """As `_norms`, for heads; a fused projection holds queries, keys and values one after the other."""
    inputs = tuple(dict.fromkeys((block.query, block.key, block.value)))
    return _norms(model, inputs, block.out, block.heads, parts=3 if block.fused else 1)


def _norms(model: Any, into: tuple[str, ...], out: str, units: int, parts: int = 1) -> "Tensor":
    """Squared norm of what leads into each unit and out of it, `(units,)`."""
    rows = [weight_of(model, path).square().sum(1).view(parts, units, -1).sum((0, 2)) for path in into]
    columns = weight_of(model, out).square().sum(0).view(units, -1).sum(1)
    return sum(rows, columns).cpu()


def weight_of(model: Any, path: str) -> "Tensor":
    """Weight of a Linear, or of a Conv1D as if it were one, `(outputs, inputs)`."""
    from vtrans.pruning.surgery import shape_of

    module = model.get_submodule(path)
    weight = module.weight.detach()
    found: Tensor = weight if hasattr(module, "in_features") else weight.view(shape_of(module)).T
    return found


def keep_share(
    anatomy: "Anatomy",
    heads: Sequence["Tensor"],
    ffn: Sequence["Tensor"],
    of_heads: float,
    of_ffn: float,
    hidden: "Tensor | None" = None,
) -> "Masks":
    """Keep the given shares of each layer's heads and FFN units, the highest scores first, at least one of each.

    `hidden` are the scores of hidden units, of which the share of heads is kept, too; without them all are.
    """
    import torch

    from vtrans.pruning.masks import Masks

    ones = [torch.ones(())] * len(anatomy.blocks)
    kept_heads, kept_ffn = [_top(s, of_heads) for s in heads], [_top(s, of_ffn) for s in ffn]
    kept_hidden = torch.ones(anatomy.hidden) if hidden is None else _top(hidden, of_heads)
    return Masks.of(kept_hidden, kept_heads, kept_ffn, ones, ones)


def _top(scores: "Tensor", share: float) -> "Tensor":
    import torch

    kept = torch.zeros(len(scores))
    if len(scores):
        kept[scores.topk(max(1, round(share * len(scores)))).indices] = 1.0
    return kept
