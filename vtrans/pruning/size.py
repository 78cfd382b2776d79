"""Parameters and MACs of a pruned model as closed forms of the units it keeps, differentiable in them.

Two denominators run through the suite. `all` counts every parameter. `encoder` leaves out embeddings,
pooler and output head and is what CoFi reports (BERT-base: 85,054,464). MACs are multiply-accumulates of
the matrix products: `sum_layers (2 + 2/g) d a L + 2 a L^2 + (u + 1) d f L` for hidden width d, attention
width a, g query heads that share keys and values, FFN width f with u projections into it and length L, plus,
under `all`, the pooler and the output head.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vtrans.anatomy import Anatomy, anatomy_of
from vtrans.pruning.counts import Counts
from vtrans.pruning.surgery import untied_output_linears
from vtrans.settings import Budget, Denominator

if TYPE_CHECKING:
    from vtrans.pruning.latency_table import LatencyTable


@dataclass(frozen=True)
class Size:
    """What of a model's size depends on no gate, so that counts of units become parameters and MACs.

    Attributes:
        dense: counts of the model that this was read from.
        head_size: columns of a head's output: of all its queries where keys and values are grouped.
        kv_share: columns of its keys or values over those of its queries.
        ffn_inputs: projections into the FFN, 2 where it is gated.
        biases: 1 or 0 for those of the attention's inputs and output and of the FFN's inputs and output.
        has_attention_norm: 1 or 0 for each layer, whether its attention has a norm, `(layers,)`.
        attention_extras: parameters of an attention beside its Linears and that norm: of norms inside its heads.
        embedding_rows: rows of all embedding tables.
        stem_norms: norms outside the layers.
        norm_size: parameters of a norm per hidden unit (2 for LayerNorm, 1 for RMSNorm).
        output_columns: output columns of the Linears that read the residual stream.
        untied_columns: those of them whose weight is not an embedding table's.
        head_transforms: square Linears on the residual stream.
        transform_biases: those of them that have a bias.
        constant: parameters that depend on no unit.
        tail_macs: MACs of the Linears after them.
        head_per_sequence: whether output Linears and tail run once per sequence.
        latency: prices of the units on some device, where a budget counts milliseconds.
    """

    dense: Counts
    head_size: int
    kv_share: float
    ffn_inputs: int
    biases: tuple[int, int, int, int]
    has_attention_norm: Tensor
    attention_extras: int
    embedding_rows: int
    stem_norms: int
    norm_size: int
    output_columns: int
    untied_columns: int
    head_transforms: int
    transform_biases: int
    constant: int
    tail_macs: int
    head_per_sequence: bool
    latency: "LatencyTable | None" = None

    @classmethod
    def of(cls, model: nn.Module) -> "Size":
        """Read the constants from a model, dense or pruned."""
        anatomy = anatomy_of(model)
        module: Callable[[str], Any] = model.get_submodule
        output_linears = [module(path) for path in anatomy.output_linears]
        stem = [module(path) for path in anatomy.stem_norms]
        tail = [module(path) for path in anatomy.tail]
        group, ffn_inputs, biases = _layer_make(model, anatomy)
        own = [module(path) for path in untied_output_linears(anatomy)]
        partial = cls(
            dense=Counts.dense(anatomy),
            head_size=anatomy.head_size * group,
            kv_share=1 / group,
            ffn_inputs=ffn_inputs,
            biases=biases,
            has_attention_norm=torch.tensor(
                [float(bool(b.attention_norm)) for b in anatomy.blocks], dtype=torch.float64
            ),
            attention_extras=_attention_extras(model, anatomy),
            embedding_rows=sum(module(path).num_embeddings for path in anatomy.embeddings),
            stem_norms=len(stem),
            norm_size=len(list(stem[0].parameters())) if stem else 2,
            output_columns=sum(m.out_features for m in output_linears),
            untied_columns=sum(m.out_features for m in own),
            head_transforms=len(anatomy.head_transforms),
            transform_biases=sum(module(path).bias is not None for path in anatomy.head_transforms),
            constant=0,
            tail_macs=sum(m.in_features * m.out_features for m in tail),
            head_per_sequence=anatomy.pooled,
        )
        total = sum(getattr(p, "ds_numel", p.numel()) for p in model.parameters())  # of the whole, where in shards
        return partial._with_constant(total - int(partial.parameters(partial.dense, "all")))

    def _with_constant(self, constant: int) -> "Size":
        return Size(**{**self.__dict__, "constant": constant})

    def linear_parameters(self, n: Counts) -> Tensor:
        """Weights and biases of the layers' Linears, norms left out (CoFi's prunable size: 85,017,600)."""
        width, (into, out, up, down) = self.head_size * n.heads, self.biases
        projected = width * (1 + 2 * self.kv_share)  # columns of queries, keys and values
        attention = n.hidden * (projected + width) + into * projected + out * n.attention * n.hidden
        ffn = (self.ffn_inputs + 1) * n.hidden * n.ffn + up * self.ffn_inputs * n.ffn + down * n.ffn_layer * n.hidden
        return (attention + ffn).sum()

    def parameters(self, n: Counts, denominator: Denominator = "encoder") -> Tensor:
        """Number of parameters for `n` units, 0-d."""
        norms = (n.attention * self.has_attention_norm.to(n.attention) + n.ffn_layer).sum()
        encoder = (
            self.linear_parameters(n) + self.norm_size * n.hidden * norms + self.attention_extras * n.attention.sum()
        )
        if denominator == "encoder":
            return encoder
        outside = self.embedding_rows + self.norm_size * self.stem_norms + self.untied_columns + self.transform_biases
        return encoder + n.hidden * (outside + self.head_transforms * n.hidden) + self.constant

    def macs(self, n: Counts, length: float, denominator: Denominator = "encoder") -> Tensor:
        """Multiply-accumulates for one sequence of `length` tokens, 0-d."""
        width = self.head_size * n.heads
        linear = n.hidden * width * (2 + 2 * self.kv_share) + (self.ffn_inputs + 1) * n.hidden * n.ffn
        encoder = (linear * length + 2 * width * length**2).sum()
        if denominator == "encoder":
            return encoder
        outside = n.hidden * (self.output_columns + self.head_transforms * n.hidden) + self.tail_macs
        return encoder + outside * (1 if self.head_per_sequence else length)


def _layer_make(model: nn.Module, anatomy: Anatomy) -> tuple[int, int, tuple[int, int, int, int]]:
    """Query heads per key-value head, projections into the FFN, and which Linears have biases, of the first layer."""
    module: Callable[[str], Any] = model.get_submodule
    attention = next((block for block in anatomy.blocks if block.heads), None)
    ffn = next((block for block in anatomy.blocks if block.ffn), None)
    inner = (attention.query, attention.out) if attention else (None, None)
    outer = (ffn.up[0], ffn.down) if ffn else (None, None)
    into, out, up, down = (int(path is not None and module(path).bias is not None) for path in (*inner, *outer))
    ffn_inputs = len(ffn.up) * ffn.up_parts if ffn else 1
    return attention.group if attention else 1, ffn_inputs, (into, out, up, down)


def _attention_extras(model: nn.Module, anatomy: Anatomy) -> int:
    """Parameters inside one attention that belong to no projection."""
    block = next((block for block in anatomy.blocks if block.heads), None)
    if block is None:
        return 0
    own = {id(p) for path in (block.query, block.key, block.value, block.out) for p in module_parameters(model, path)}
    attention = model.get_submodule(next(iter(block.attention_skip)))
    known = own | {id(p) for path in block.norms for p in module_parameters(model, path)}
    return sum(p.numel() for p in attention.parameters() if id(p) not in known)


def module_parameters(model: nn.Module, path: str) -> list[nn.Parameter]:
    """Parameters of the module at `path`."""
    return list(model.get_submodule(path).parameters())


def amount(budget: Budget, size: Size, n: Counts) -> Tensor:
    """What `budget` counts, for `n` units, 0-d."""
    if budget.quantity == "macs":
        return size.macs(n, budget.length, budget.denominator)
    if size.latency is not None:
        return size.latency.milliseconds(n)
    return size.parameters(n, budget.denominator)


def removed(budget: Budget, size: Size, n: Counts) -> Tensor:
    """Share of what `budget` counts that `n` units leave out of the model `size` was read from, 0-d."""
    return 1 - amount(budget, size, n) / amount(budget, size, size.dense)
