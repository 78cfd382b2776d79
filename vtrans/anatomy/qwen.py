"""Qwen2 and Qwen3: LLaMA's blocks; Qwen2 with biases of queries, keys and values, Qwen3 with a norm inside each head.

The norms of Qwen3's queries and keys run over the columns of one head, so that no head knows of another, and go with
the sub-layer as a whole.
"""

from typing import Any

from vtrans.anatomy.base import GROUPED, Anatomy, register
from vtrans.anatomy.llama import decoder_anatomy


@register("qwen2", causal=True, ups=2, fields=GROUPED)
def read_qwen2(model: Any) -> Anatomy:
    """Name the parts of a `Qwen2Model` or of a model with one inside."""
    return decoder_anatomy(model, "qwen2")


@register("qwen3", causal=True, ups=2, fields=GROUPED)
def read_qwen3(model: Any) -> Anatomy:
    """Name the parts of a `Qwen3Model` or of a model with one inside."""
    return decoder_anatomy(model, "qwen3")
