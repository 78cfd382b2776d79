"""Mistral: LLaMA's blocks, with attention to a sliding window."""

from typing import Any

from vtrans.anatomy.base import GROUPED, Anatomy, register
from vtrans.anatomy.llama import decoder_anatomy


@register("mistral", causal=True, ups=2, fields=GROUPED)
def read(model: Any) -> Anatomy:
    """Name the parts of a `MistralModel` or of a model with one inside."""
    return decoder_anatomy(model, "mistral")
