"""Cut what gates have pruned out of a model: a smaller stock model, without masks and without hooks."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from vtrans.anatomy import Anatomy, Block, anatomy_of
from vtrans.anatomy.base import Skips
from vtrans.multipliers import Multipliers


@torch.no_grad()
def materialise(model: nn.Module, values: Multipliers) -> nn.Module:
    """Return a smaller copy of `model` that computes what the gated model computes, to rounding.

    Each multiplier is folded where that is exact: the hidden one into the affine of the norms, head and
    FFN ones into the input columns of the output projections, layer ones into their weight and bias.

    Args:
        model: a dense or already pruned model; it is left as it is.
        values: a hard decision over the model's units, 0 where pruned.
    """
    anatomy, small = anatomy_of(model), copy.deepcopy(model)
    values = values.to(next(model.parameters()).device)
    hidden = _kept(values.hidden)
    for path in anatomy.embeddings:
        cut_embedding(small.get_submodule(path), hidden)
    for path in anatomy.norms:
        cut_norm(small.get_submodule(path), hidden, values.hidden[hidden])
    for path in anatomy.readers:
        cut_linear(small.get_submodule(path), columns=hidden)
    for index, block in enumerate(anatomy.blocks):
        _cut_attention(small, anatomy, block, index, values, hidden)
        _cut_ffn(small, block, index, values, hidden)
    return small


def replace_skipped(model: nn.Module, skips: Skips) -> None:
    """Put the identity modules of a sub-layer that was pruned whole in its place."""
    for path, make in skips.items():
        model.set_submodule(path, make())


def _cut_attention(
    model: nn.Module, anatomy: Anatomy, block: Block, index: int, values: Multipliers, hidden: Tensor
) -> None:
    if not block.heads:
        return
    if not values.attention_alive[index]:
        replace_skipped(model, block.attention_skip)
        return
    size, z = anatomy.head_size, values.heads[index]
    columns = (_kept(z)[:, None] * size + torch.arange(size, device=z.device)).flatten()
    for path in (block.query, block.key, block.value):
        cut_linear(model.get_submodule(path), rows=columns, columns=hidden)
    scale = z.repeat_interleave(size)[columns]
    _cut_output(model.get_submodule(block.out), hidden, columns, scale, values.attention_layer[index])


def _cut_ffn(model: nn.Module, block: Block, index: int, values: Multipliers, hidden: Tensor) -> None:
    if not block.ffn:
        return
    if not values.ffn_alive[index]:
        replace_skipped(model, block.ffn_skip)
        return
    units = _kept(values.ffn[index])
    for path in block.up:
        cut_linear(model.get_submodule(path), rows=units, columns=hidden)
    _cut_output(model.get_submodule(block.down), hidden, units, values.ffn[index][units], values.ffn_layer[index])


def _cut_output(linear: Any, rows: Tensor, columns: Tensor, scale: Tensor, layer: Tensor) -> None:
    cut_linear(linear, rows=rows, columns=columns)
    linear.weight.mul_(scale * layer)
    if linear.bias is not None:
        linear.bias.mul_(layer)


def _kept(z: Tensor) -> Tensor:
    return (z != 0).nonzero().flatten()


def cut_linear(linear: Any, rows: Tensor | None = None, columns: Tensor | None = None) -> None:
    """Keep the given output rows and input columns of a Linear, in place."""
    if rows is not None:
        linear.weight = _parameter(linear.weight[rows], linear.weight)
        linear.bias = None if linear.bias is None else _parameter(linear.bias[rows], linear.bias)
        linear.out_features = len(rows)
    if columns is not None:
        linear.weight = _parameter(linear.weight[:, columns], linear.weight)
        linear.in_features = len(columns)


def cut_embedding(table: Any, columns: Tensor) -> None:
    """Keep the given columns of an embedding table, in place."""
    table.weight = _parameter(table.weight[:, columns], table.weight)
    table.embedding_dim = len(columns)


def cut_norm(norm: Any, units: Tensor, scale: Tensor) -> None:
    """Keep the given units of a norm, its affine multiplied by `scale`, in place."""
    for name in ("weight", "bias"):
        old = getattr(norm, name, None)
        if old is not None:
            setattr(norm, name, _parameter(old[units] * scale, old))
    norm.normalized_shape = (len(units),)


def _parameter(data: Tensor, like: Tensor) -> nn.Parameter:
    return nn.Parameter(data.detach().clone().contiguous(), requires_grad=like.requires_grad)
