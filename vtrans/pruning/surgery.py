"""Cut what gates have pruned out of a model: a smaller stock model, without masks and without hooks."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from vtrans.anatomy import Anatomy, Block, anatomy_of, write_widths
from vtrans.anatomy.base import Skips
from vtrans.pruning.masks import Masks


@torch.no_grad()
def materialise(model: nn.Module, masks: Masks) -> nn.Module:
    """Return a smaller copy of `model` that computes what the gated model computes, to rounding.

    Each mask is folded where that is exact: the hidden one into the affine of the norms, head and
    FFN ones into the input columns of the output projections, layer ones into their weight and bias.

    Args:
        model: a dense or already pruned model; it is left as it is.
        masks: a hard decision over the model's units, 0 where pruned.
    """
    anatomy, small = anatomy_of(model), copy.deepcopy(model)
    masks = masks.to(next(model.parameters()).device)
    cut_stem(small, anatomy, masks)
    for index in range(len(anatomy.blocks)):
        cut_block(small, anatomy, index, masks)
    write_widths(small)
    return small


def cut_stem(model: nn.Module, anatomy: Anatomy, masks: Masks) -> None:
    """Cut what lies outside the layers, in place; `anatomy` is that of the model before."""
    hidden = _kept(masks.hidden)
    for path in anatomy.embeddings:
        cut_embedding(model.get_submodule(path), hidden)
    retie(model, anatomy)
    for path in anatomy.stem_norms:
        cut_norm(model.get_submodule(path), hidden, masks.hidden[hidden])
    for path in anatomy.head_transforms:
        cut_linear(model.get_submodule(path), rows=hidden, columns=hidden)
    for path in untied_output_linears(anatomy):
        cut_linear(model.get_submodule(path), columns=hidden)


def cut_block(model: nn.Module, anatomy: Anatomy, index: int, masks: Masks) -> None:
    """Cut one layer, in place; `anatomy` is that of the model before."""
    block, hidden = anatomy.blocks[index], _kept(masks.hidden)
    for path in block.norms:
        cut_norm(model.get_submodule(path), hidden, masks.hidden[hidden])
    _cut_attention(model, anatomy, block, index, masks, hidden)
    _cut_ffn(model, block, index, masks, hidden)


def replace_skipped(model: nn.Module, skips: Skips) -> None:
    """Put the identity modules of a sub-layer that was pruned whole in its place."""
    for path, make in skips.items():
        model.set_submodule(path, make())


def _cut_attention(model: nn.Module, anatomy: Anatomy, block: Block, index: int, masks: Masks, hidden: Tensor) -> None:
    if not block.heads:
        return
    if not masks.attention_alive[index]:
        replace_skipped(model, block.attention_skip)
        return
    size, z = anatomy.head_size, masks.heads[index]
    columns, shared = (_columns(_kept(z), width) for width in (size * block.group, size))
    cut_attention_inputs(model, block, columns, shared, hidden)
    scale = z.repeat_interleave(size * block.group)[columns]
    _cut_output(model.get_submodule(block.out), hidden, columns, scale, masks.attention_layer[index])


def _columns(units: Tensor, width: int) -> Tensor:
    return (units[:, None] * width + torch.arange(width, device=units.device)).flatten()


def cut_attention_inputs(model: nn.Module, block: Block, queries: Tensor, keys_values: Tensor, hidden: Tensor) -> None:
    """Keep the given output rows of the query and of the key and value projections, and the hidden units they read."""
    if block.fused:
        cut_linear(model.get_submodule(block.query), rows=_in_parts(model, block.query, 3, queries), columns=hidden)
        if block.split:
            model.get_submodule(block.split).split_size = len(queries)  # type: ignore[assignment]
        return
    for path, rows in ((block.query, queries), (block.key, keys_values), (block.value, keys_values)):
        cut_linear(model.get_submodule(path), rows=rows, columns=hidden)


def cut_ffn_inputs(model: nn.Module, block: Block, units: Tensor, hidden: Tensor) -> None:
    """Keep the given FFN units and the hidden units that they read; in place."""
    for path in block.up:
        cut_linear(model.get_submodule(path), rows=_in_parts(model, path, block.up_parts, units), columns=hidden)


def _in_parts(model: nn.Module, path: str, parts: int, rows: Tensor) -> Tensor:
    """Output rows of a projection that holds several of one width, one after the other: the same rows of each."""
    width = shape_of(model.get_submodule(path))[1] // parts
    return torch.cat([rows + part * width for part in range(parts)])


def untied_output_linears(anatomy: Anatomy) -> list[str]:
    """Paths of the output Linears that share no weight with an embedding table."""
    shared = {path for path, _ in anatomy.tied}
    return [path for path in anatomy.output_linears if path not in shared]


def retie(model: nn.Module, anatomy: Anatomy) -> None:
    """Let tied output Linears share the weight of their embedding table again, after it was replaced."""
    for path, table in anatomy.tied:
        model.get_submodule(path).weight = model.get_submodule(table).weight
        model.get_submodule(path).in_features = model.get_submodule(table).embedding_dim


def _cut_ffn(model: nn.Module, block: Block, index: int, masks: Masks, hidden: Tensor) -> None:
    if not block.ffn:
        return
    if not masks.ffn_alive[index]:
        replace_skipped(model, block.ffn_skip)
        return
    units = _kept(masks.ffn[index])
    cut_ffn_inputs(model, block, units, hidden)
    _cut_output(model.get_submodule(block.down), hidden, units, masks.ffn[index][units], masks.ffn_layer[index])


def _cut_output(linear: Any, rows: Tensor, columns: Tensor, scale: Tensor, layer: Tensor) -> None:
    cut_linear(linear, rows=rows, columns=columns)
    factor = (scale * layer).to(linear.weight.dtype)
    linear.weight.mul_(factor.unsqueeze(-1) if isinstance(linear, Conv1D) else factor)
    if linear.bias is not None:
        linear.bias.mul_(layer)


def _kept(z: Tensor) -> Tensor:
    return (z != 0).nonzero().flatten()


def cut_linear(linear: Any, rows: Tensor | None = None, columns: Tensor | None = None) -> None:
    """Keep the given output rows and input columns of a Linear, or of a Conv1D, which is one transposed; in place."""
    turned = isinstance(linear, Conv1D)
    if rows is not None:
        linear.weight = _parameter(linear.weight[:, rows] if turned else linear.weight[rows], linear.weight)
        linear.bias = None if linear.bias is None else _parameter(linear.bias[rows], linear.bias)
        setattr(linear, "nf" if turned else "out_features", len(rows))
    if columns is not None:
        linear.weight = _parameter(linear.weight[columns] if turned else linear.weight[:, columns], linear.weight)
        setattr(linear, "nx" if turned else "in_features", len(columns))


def shape_of(linear: Any) -> tuple[int, int]:
    """Input and output width of a Linear or a Conv1D."""
    return (linear.nx, linear.nf) if isinstance(linear, Conv1D) else (linear.in_features, linear.out_features)


def cut_embedding(table: Any, columns: Tensor) -> None:
    """Keep the given columns of an embedding table, in place."""
    table.weight = _parameter(table.weight[:, columns], table.weight)
    table.embedding_dim = len(columns)


def cut_norm(norm: Any, units: Tensor, scale: Tensor) -> None:
    """Keep the given units of a norm, its affine multiplied by `scale`, in place."""
    for name in ("weight", "bias"):
        old = getattr(norm, name, None)
        if old is not None:
            setattr(norm, name, _parameter((old[units] * scale).to(old.dtype), old))
    if isinstance(norm, nn.LayerNorm):
        norm.normalized_shape = (len(units),)


def _parameter(data: Tensor, like: Tensor) -> nn.Parameter:
    return nn.Parameter(data.detach().clone().contiguous(), requires_grad=like.requires_grad)
