"""What the suite needs to know of a Transformer, whatever its family."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from torch import nn

from vtrans.dropping import MODEL_TYPE_SUFFIX
from vtrans.errors import SuiteError

UNSUPPORTED_DECODERS = ("gpt_neo", "gpt_neox", "gptj", "opt", "phi", "gemma", "falcon")  # without an anatomy
Skips = Mapping[str, Callable[[], nn.Module]]


@dataclass(frozen=True)
class Block:
    """One layer: the paths of its projections and norms, and the units that it still has.

    A head is the unit of attention that is pruned: in models with grouped keys and values one key-value head
    with its `group` of query heads, so that no group is ever cut unevenly. Where query, key and value are one
    fused projection their three paths are the same, and `split` is the path of the module, if any, whose
    `split_size` follows its width. `up` are the projections into the FFN; where one Linear holds two of them, one
    after the other, `up_parts` is 2. A layer without a norm before its attention names none.

    `attention_skip` and `ffn_skip` map each module of a sub-layer to what stands in its place once
    the sub-layer is pruned whole, which makes the sub-layer the identity. A sub-layer that is gone
    has no units (`heads == 0`, `ffn == 0`) and its paths are not to be followed.
    """

    query: str
    key: str
    value: str
    out: str
    up: tuple[str, ...]
    down: str
    attention_norm: str
    ffn_norm: str
    attention_skip: Skips
    ffn_skip: Skips
    heads: int
    ffn: int
    group: int = 1
    split: str = ""
    up_parts: int = 1

    @property
    def fused(self) -> bool:
        """Whether query, key and value are one projection."""
        return self.query == self.key

    @property
    def path(self) -> str:
        """Path of the layer: what the paths of its two sub-layers have in common."""
        pairs = zip(self.query.split("."), self.down.split("."), strict=False)
        return ".".join(part for part, other in takewhile(lambda pair: pair[0] == pair[1], pairs))

    @property
    def norms(self) -> tuple[str, ...]:
        """Paths of the norms of the sub-layers that are still there."""
        attention = (self.attention_norm,) if self.heads and self.attention_norm else ()
        return attention + ((self.ffn_norm,) if self.ffn else ())


@dataclass(frozen=True)
class Anatomy:
    """The parts of one model, as module paths, grouped by how pruning changes them.

    Attributes:
        family: name of the model family, transformers' `model_type`.
        hidden: width of the residual stream.
        head_size: columns of one head of queries, keys or values.
        blocks: the layers, from the embeddings up.
        embeddings: tables whose columns are hidden units.
        stem_norms: norms of the residual stream outside the blocks.
        output_linears: Linears outside the blocks that read the residual stream.
        tail: Linears that follow them and never see the residual stream.
        encoder: path of the module that runs the layers one after the other on whole sequences, where their
            tokens can be dropped on the way; empty where they cannot.
        head_transforms: square Linears outside the blocks, from the residual stream into a norm of it (MLM heads).
        tied: output Linears that share their weight with an embedding table, with that table.
        causal: whether a token sees only those before it, so that the model generates.
        rms: whether norms are RMSNorms, with neither mean nor bias.
        pre_norm: whether norms stand before sub-layers, so that the residual stream passes none between layers.
        pooled: True where output Linears and tail run once per sequence, False where once per token.
    """

    family: str
    hidden: int
    head_size: int
    blocks: tuple[Block, ...]
    embeddings: tuple[str, ...]
    stem_norms: tuple[str, ...]
    output_linears: tuple[str, ...]
    tail: tuple[str, ...]
    pooled: bool
    causal: bool = False
    rms: bool = False
    pre_norm: bool = False
    encoder: str = ""
    head_transforms: tuple[str, ...] = ()
    tied: tuple[tuple[str, str], ...] = ()

    @property
    def heads(self) -> tuple[int, ...]:
        """Heads of each layer, or key-value heads with their query heads (see `Block`); 0 where attention is gone."""
        return tuple(block.heads for block in self.blocks)

    @property
    def ffn(self) -> tuple[int, ...]:
        """FFN units of each layer, 0 where the sub-layer is gone."""
        return tuple(block.ffn for block in self.blocks)

    @property
    def predicts_next_token(self) -> bool:
        """Whether it gives logits over its vocabulary for the token after each."""
        return self.causal and "lm_head" in self.output_linears

    @property
    def norms(self) -> tuple[str, ...]:
        """Paths of all norms of the residual stream."""
        return self.stem_norms + tuple(path for block in self.blocks for path in block.norms)


Reader = Callable[[Any], Anatomy]


@dataclass(frozen=True)
class Fields:
    """What a family's config calls the widths that pruning changes.

    Attributes:
        hidden, heads, ffn: of the residual stream, of queries, of the FFN.
        groups: of keys and values; empty where each head has its own.
        own_head_size: whether stock models read the width of a head from `head_dim`, and not off the other two.
    """

    hidden: str = "hidden_size"
    heads: str = "num_attention_heads"
    ffn: str = "intermediate_size"
    groups: str = ""
    own_head_size: bool = False


GROUPED = Fields(groups="num_key_value_heads", own_head_size=True)


@dataclass(frozen=True)
class Family:
    """What is known of a model family before a model of it is loaded.

    Attributes:
        read: names the parts of a model.
        causal: whether its models generate.
        ups: projections into the FFN, 2 where it is gated.
        reserved_positions: rows of the position table that no token gets, from a config.
        token_types: whether its models read token type ids.
        fields: of its config.
    """

    read: Reader
    causal: bool = False
    ups: int = 1
    reserved_positions: Callable[[Any], int] = lambda config: 0
    token_types: bool = False
    fields: Fields = Fields()


_FAMILIES: dict[str, Family] = {}


def register(model_type: str, **traits: Any) -> Callable[[Reader], Reader]:
    """Make the decorated function the reader of the family `model_type`; `traits` are fields of `Family`."""

    def add(reader: Reader) -> Reader:
        """Register and return the reader."""
        _FAMILIES[model_type] = Family(reader, **traits)
        return reader

    return add


def families() -> list[str]:
    """Names of the model families that have an anatomy."""
    return sorted(_FAMILIES)


def family_name(config: Any) -> str:
    """What a config calls its family, whether or not its models drop tokens."""
    return str(getattr(config, "model_type", type(config).__name__)).removesuffix(MODEL_TYPE_SUFFIX)


def family_of(config: Any) -> Family:
    """The family of a model's config.

    Raises:
        SuiteError: it has no anatomy.
    """
    kind = family_name(config)
    if kind not in _FAMILIES:
        raise no_anatomy(kind)
    return _FAMILIES[kind]


def head_size(config: Any) -> int:
    """Columns of one head: a pruned model's config says them, a dense one's may leave them to be reckoned."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def anatomy_of(model: nn.Module) -> Anatomy:
    """Read the parts of `model`, dense or already pruned.

    Raises:
        SuiteError: the model's family has no anatomy.
    """
    config = getattr(model, "config", None)
    if config is None:
        raise no_anatomy(type(model).__name__)
    return family_of(config).read(model)


def no_anatomy(kind: str) -> SuiteError:
    """The error for a model family that has no anatomy."""
    if kind in UNSUPPORTED_DECODERS:
        return SuiteError(f"the decoder family {kind!r} is not supported", f"use one of: {', '.join(families())}")
    return SuiteError(
        f"the model family {kind!r} is not supported",
        f"use one of: {', '.join(families())}, or add vtrans/anatomy/{kind}.py (see CONTRIBUTING.md)",
    )


def tied(model: nn.Module, linear: str, table: str) -> tuple[tuple[str, str], ...]:
    """The pair where the Linear at `linear` shares the weight of `table`, else nothing."""
    shared = model.get_submodule(linear).weight is model.get_submodule(table).weight
    return ((linear, table),) if shared else ()
