"""BERT: post-norm blocks, a learned position table, one LayerNorm inside each sub-layer."""

from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from vtrans.anatomy.base import Anatomy, Block, head_size, register, tied
from vtrans.errors import SuiteError


class IdentityAttention(nn.Module):
    """In place of a `BertAttention` that was pruned whole, its LayerNorm included."""

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, None]:
        """Return the input `(batch, length, hidden)` as it is, and no attention weights."""
        return hidden_states, None


class IdentityIntermediate(nn.Module):
    """In place of the `BertIntermediate` of an FFN that was pruned whole."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Return the input as it is; nothing reads it."""
        return hidden_states


class ResidualOutput(nn.Module):
    """In place of the `BertOutput` of an FFN that was pruned whole, its LayerNorm included."""

    def forward(self, hidden_states: Tensor, input_tensor: Tensor) -> Tensor:
        """Return the residual `(batch, length, hidden)` as it is."""
        return input_tensor


def _block(path: str, layer: Any) -> Block:
    attention = layer.attention
    heads = 0
    if not isinstance(attention, IdentityAttention):
        heads = attention.self.query.out_features // attention.self.attention_head_size
    ffn = 0 if isinstance(layer.output, ResidualOutput) else layer.intermediate.dense.out_features
    return Block(
        query=f"{path}.attention.self.query",
        key=f"{path}.attention.self.key",
        value=f"{path}.attention.self.value",
        out=f"{path}.attention.output.dense",
        up=(f"{path}.intermediate.dense",),
        down=f"{path}.output.dense",
        attention_norm=f"{path}.attention.output.LayerNorm",
        ffn_norm=f"{path}.output.LayerNorm",
        attention_skip={f"{path}.attention": IdentityAttention},
        ffn_skip={f"{path}.intermediate": IdentityIntermediate, f"{path}.output": ResidualOutput},
        heads=heads,
        ffn=ffn,
    )


def heads_on_top(model: nn.Module, base: nn.Module) -> tuple[str, ...]:
    """Paths of all Linears outside the base model."""
    inside = {id(module) for module in base.modules()}
    return tuple(n for n, m in model.named_modules() if isinstance(m, nn.Linear) and id(m) not in inside)


def encoder_anatomy(
    model: Any, family: str, output_linears: tuple[str, ...] = (), tail: tuple[str, ...] = ()
) -> Anatomy:
    """Name the parts of an encoder of BERT's make with Linears on top of it.

    Without `output_linears` these are the pooler where there is one, and all Linears on top where there is none.
    """
    base = getattr(model, model.base_model_prefix, model)
    prefix = "" if base is model else f"{model.base_model_prefix}."
    config, top = model.config, heads_on_top(model, base)
    pooled = bool(output_linears) or base.pooler is not None
    if not output_linears:
        output_linears, tail = ((f"{prefix}pooler.dense",), top) if pooled else (top, ())
    tables = ("word_embeddings", "position_embeddings", "token_type_embeddings")
    return Anatomy(
        family=family,
        hidden=base.embeddings.word_embeddings.embedding_dim,
        head_size=head_size(config),
        blocks=tuple(_block(f"{prefix}encoder.layer.{i}", layer) for i, layer in enumerate(base.encoder.layer)),
        embeddings=tuple(f"{prefix}embeddings.{table}" for table in tables),
        stem_norms=(f"{prefix}embeddings.LayerNorm",),
        output_linears=output_linears,
        tail=tail,
        pooled=pooled,
        encoder=f"{prefix}encoder",
    )


def masked_lm_anatomy(model: Any, family: str, transform: str, norm: str, decoder: str) -> Anatomy:
    """Name the parts of a masked language model of BERT's make: encoder, a Linear, a norm and the output head."""
    return with_mlm_head(model, encoder_anatomy(model, family, output_linears=(decoder,)), transform, norm, decoder)


def with_mlm_head(model: Any, plain: Anatomy, transform: str, norm: str, decoder: str) -> Anatomy:
    """An encoder's anatomy under an MLM head.

    The norm's output is gated as the residual stream is, since the head shares the embeddings' columns.
    """
    return replace(
        plain,
        stem_norms=(*plain.stem_norms, norm),
        pooled=False,
        head_transforms=(transform,),
        tied=tied(model, decoder, plain.embeddings[0]),
    )


@register("bert", token_types=True)
def read(model: Any) -> Anatomy:
    """Name the parts of a `BertModel`, of a model with one inside and Linears on top of it, or a masked LM.

    Raises:
        SuiteError: the model has a head for sentence pairs beside its MLM head.
    """
    if hasattr(getattr(model, "cls", None), "seq_relationship"):
        raise SuiteError("BertForPreTraining has two heads on top", "load it as BertForMaskedLM")
    if hasattr(model, "cls"):
        head = "cls.predictions"
        return masked_lm_anatomy(
            model, "bert", f"{head}.transform.dense", f"{head}.transform.LayerNorm", f"{head}.decoder"
        )
    return encoder_anatomy(model, "bert")
