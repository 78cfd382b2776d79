"""DistilBERT: BERT's post-norm blocks without token types, their norms beside the sub-layers, no pooler."""

from functools import partial
from typing import Any

from torch import nn

from vtrans.anatomy.base import Anatomy, Block, Fields, head_size, register
from vtrans.anatomy.bert import heads_on_top, with_mlm_head
from vtrans.anatomy.decoder import ZeroAttention, ZeroFFN


def _block(path: str, index: int, layer: Any, head_size: int) -> Block:
    attention, ffn = f"{path}.attention", f"{path}.ffn"
    silent = isinstance(layer.attention, ZeroAttention)
    return Block(
        query=f"{attention}.q_lin",
        key=f"{attention}.k_lin",
        value=f"{attention}.v_lin",
        out=f"{attention}.out_lin",
        up=(f"{ffn}.lin1",),
        down=f"{ffn}.lin2",
        attention_norm=f"{path}.sa_layer_norm",
        ffn_norm=f"{path}.output_layer_norm",
        attention_skip={attention: partial(ZeroAttention, index), f"{path}.sa_layer_norm": nn.Identity},
        ffn_skip={ffn: ZeroFFN, f"{path}.output_layer_norm": nn.Identity},
        heads=0 if silent else layer.attention.q_lin.out_features // head_size,
        ffn=0 if isinstance(layer.ffn, ZeroFFN) else layer.ffn.lin1.out_features,
    )


@register("distilbert", fields=Fields("dim", "n_heads", "hidden_dim"))
def read(model: Any) -> Anatomy:
    """Name the parts of a `DistilBertModel`, of a model with one inside and Linears on top of it, or a masked LM."""
    base, config = getattr(model, "distilbert", model), model.config
    prefix = "" if base is model else "distilbert."
    size = head_size(config)
    pooled, masked = hasattr(model, "pre_classifier"), hasattr(model, "vocab_projector")
    layers = enumerate(base.transformer.layer)
    plain = Anatomy(
        family="distilbert",
        hidden=base.embeddings.word_embeddings.embedding_dim,
        head_size=size,
        blocks=tuple(_block(f"{prefix}transformer.layer.{i}", i, layer, size) for i, layer in layers),
        embeddings=(f"{prefix}embeddings.word_embeddings", f"{prefix}embeddings.position_embeddings"),
        stem_norms=(f"{prefix}embeddings.LayerNorm",),
        output_linears=("pre_classifier",) if pooled else ("vocab_projector",) if masked else heads_on_top(model, base),
        tail=("classifier",) if pooled else (),
        pooled=pooled,
    )
    if not masked:
        return plain
    return with_mlm_head(model, plain, "vocab_transform", "vocab_layer_norm", "vocab_projector")
