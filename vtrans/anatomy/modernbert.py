"""ModernBERT: pre-norm blocks with rotary positions, fused projections, a gated FFN, and no norm before layer 1."""

from functools import partial
from typing import Any

from torch import nn

from vtrans.anatomy.base import Anatomy, Block, head_size, register
from vtrans.anatomy.bert import heads_on_top, with_mlm_head
from vtrans.anatomy.decoder import ZeroAttention, ZeroFFN


def _block(path: str, index: int, layer: Any, head_size: int) -> Block:
    silent, fused = isinstance(layer.attn, ZeroAttention), f"{path}.attn.Wqkv"
    return Block(
        query=fused,
        key=fused,
        value=fused,
        out=f"{path}.attn.Wo",
        up=(f"{path}.mlp.Wi",),
        up_parts=2,
        down=f"{path}.mlp.Wo",
        attention_norm=f"{path}.attn_norm" if index else "",
        ffn_norm=f"{path}.mlp_norm",
        attention_skip={f"{path}.attn": partial(ZeroAttention, index), f"{path}.attn_norm": nn.Identity},
        ffn_skip={f"{path}.mlp": ZeroFFN, f"{path}.mlp_norm": nn.Identity},
        heads=0 if silent else layer.attn.Wqkv.out_features // (3 * head_size),
        ffn=0 if isinstance(layer.mlp, ZeroFFN) else layer.mlp.Wo.in_features,
    )


@register("modernbert", ups=2)
def read(model: Any) -> Anatomy:
    """Name the parts of a `ModernBertModel`, of a model with one inside and Linears on top of it, or a masked LM."""
    base, config = getattr(model, "model", model), model.config
    prefix = "" if base is model else "model."
    size = head_size(config)
    masked, pooled = hasattr(model, "decoder"), type(model).__name__.endswith("SequenceClassification")
    # Heads on every token read through `head.dense` too, once per token.
    through = hasattr(model, "head") and not masked
    top = tuple(path for path in heads_on_top(model, base) if not path.startswith("head."))
    plain = Anatomy(
        family="modernbert",
        hidden=base.embeddings.tok_embeddings.embedding_dim,
        head_size=size,
        blocks=tuple(_block(f"{prefix}layers.{i}", i, layer, size) for i, layer in enumerate(base.layers)),
        embeddings=(f"{prefix}embeddings.tok_embeddings",),
        stem_norms=(f"{prefix}embeddings.norm", f"{prefix}final_norm"),
        output_linears=("decoder",) if masked else ("head.dense",) if through else top,
        tail=top if through else (),
        pooled=pooled,
        pre_norm=True,
    )
    return with_mlm_head(model, plain, "head.dense", "head.norm", "decoder") if masked else plain
