"""GPT-2: pre-norm blocks, query, key and value in one Conv1D, an output head tied to the embeddings."""

from functools import partial
from typing import Any

from torch import nn

from vtrans.anatomy.base import Anatomy, Block, Fields, head_size, register, tied
from vtrans.anatomy.decoder import ZeroAttention, ZeroFFN


def _block(path: str, index: int, layer: Any, head_size: int) -> Block:
    silent = isinstance(layer.attn, ZeroAttention)
    return Block(
        query=f"{path}.attn.c_attn",
        key=f"{path}.attn.c_attn",
        value=f"{path}.attn.c_attn",
        out=f"{path}.attn.c_proj",
        up=(f"{path}.mlp.c_fc",),
        down=f"{path}.mlp.c_proj",
        attention_norm=f"{path}.ln_1",
        ffn_norm=f"{path}.ln_2",
        attention_skip={f"{path}.attn": partial(ZeroAttention, index), f"{path}.ln_1": nn.Identity},
        ffn_skip={f"{path}.mlp": ZeroFFN, f"{path}.ln_2": nn.Identity},
        heads=0 if silent else layer.attn.split_size // head_size,
        ffn=0 if isinstance(layer.mlp, ZeroFFN) else layer.mlp.c_fc.nf,
        split=f"{path}.attn",
    )


@register("gpt2", causal=True, fields=Fields("n_embd", "n_head", "n_inner"))
def read(model: Any) -> Anatomy:
    """Name the parts of a `GPT2Model` or of a model with one inside and a Linear on top of it."""
    base, config = getattr(model, "transformer", model), model.config
    prefix = "" if base is model else "transformer."
    top = tuple(name for name in ("lm_head", "score", "qa_outputs", "classifier") if hasattr(model, name))
    size = head_size(config)
    return Anatomy(
        family="gpt2",
        hidden=base.wte.embedding_dim,
        head_size=size,
        blocks=tuple(_block(f"{prefix}h.{i}", i, layer, size) for i, layer in enumerate(base.h)),
        embeddings=(f"{prefix}wte", f"{prefix}wpe"),
        stem_norms=(f"{prefix}ln_f",),
        output_linears=top,
        tail=(),
        pooled=False,
        causal=True,
        pre_norm=True,
        tied=tied(model, "lm_head", f"{prefix}wte") if "lm_head" in top else (),
    )
