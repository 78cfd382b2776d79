"""RoBERTa: BERT's blocks; its sequence classifier reads the first token through a Linear of its own, not a pooler."""

from typing import Any

from vtrans.anatomy.base import Anatomy, register
from vtrans.anatomy.bert import encoder_anatomy, masked_lm_anatomy


@register("roberta", reserved_positions=lambda config: (config.pad_token_id or 0) + 1, token_types=True)
def read(model: Any) -> Anatomy:
    """Name the parts of a `RobertaModel`, of a model with one inside and Linears on top of it, or a masked LM."""
    if hasattr(model, "lm_head"):
        return masked_lm_anatomy(model, "roberta", "lm_head.dense", "lm_head.layer_norm", "lm_head.decoder")
    if hasattr(getattr(model, "classifier", None), "out_proj"):
        return encoder_anatomy(model, "roberta", ("classifier.dense",), ("classifier.out_proj",))
    return encoder_anatomy(model, "roberta")
