"""LLaMA: pre-norm blocks with RMSNorm, grouped keys and values, rotary positions, gated FFN."""

from functools import partial
from typing import Any

from torch import nn

from vtrans.anatomy.base import GROUPED, Anatomy, Block, head_size, register, tied
from vtrans.anatomy.decoder import ZeroAttention, ZeroFFN


def _block(path: str, index: int, layer: Any, head_size: int) -> Block:
    attention, mlp = f"{path}.self_attn", f"{path}.mlp"
    silent = isinstance(layer.self_attn, ZeroAttention)
    return Block(
        query=f"{attention}.q_proj",
        key=f"{attention}.k_proj",
        value=f"{attention}.v_proj",
        out=f"{attention}.o_proj",
        up=(f"{mlp}.gate_proj", f"{mlp}.up_proj"),
        down=f"{mlp}.down_proj",
        attention_norm=f"{path}.input_layernorm",
        ffn_norm=f"{path}.post_attention_layernorm",
        attention_skip={attention: partial(ZeroAttention, index), f"{path}.input_layernorm": nn.Identity},
        ffn_skip={mlp: ZeroFFN, f"{path}.post_attention_layernorm": nn.Identity},
        heads=0 if silent else layer.self_attn.k_proj.out_features // head_size,
        ffn=0 if isinstance(layer.mlp, ZeroFFN) else layer.mlp.gate_proj.out_features,
        group=1 if silent else layer.self_attn.num_key_value_groups,
    )


def decoder_anatomy(model: Any, family: str) -> Anatomy:
    """Name the parts of a decoder of LLaMA's make, or of a model with one inside and a Linear on top of it."""
    base, config = getattr(model, model.base_model_prefix, model), model.config
    prefix = "" if base is model else f"{model.base_model_prefix}."
    top = tuple(name for name in ("lm_head", "score", "qa_outputs") if hasattr(model, name))
    size = head_size(config)
    return Anatomy(
        family=family,
        hidden=base.embed_tokens.embedding_dim,
        head_size=size,
        blocks=tuple(_block(f"{prefix}layers.{i}", i, layer, size) for i, layer in enumerate(base.layers)),
        embeddings=(f"{prefix}embed_tokens",),
        stem_norms=(f"{prefix}norm",),
        output_linears=top,
        tail=(),
        pooled=False,
        causal=True,
        rms=True,
        pre_norm=True,
        tied=tied(model, "lm_head", f"{prefix}embed_tokens") if "lm_head" in top else (),
    )


@register("llama", causal=True, ups=2, fields=GROUPED)
def read(model: Any) -> Anatomy:
    """Name the parts of a `LlamaModel` or of a model with one inside."""
    return decoder_anatomy(model, "llama")
