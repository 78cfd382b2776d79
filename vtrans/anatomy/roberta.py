"""RoBERTa: BERT's blocks; its sequence classifier reads the first token through a Linear of its own, not a pooler."""

from typing import Any

from vtrans.anatomy.base import Anatomy, register
from vtrans.anatomy.bert import encoder_anatomy, refuse_tied


@register("roberta")
def read(model: Any) -> Anatomy:
    """Name the parts of a `RobertaModel` or of a model with one inside and Linears on top of it."""
    refuse_tied(model, "lm_head")
    if hasattr(getattr(model, "classifier", None), "out_proj"):
        return encoder_anatomy(model, "roberta", ("classifier.dense",), ("classifier.out_proj",))
    return encoder_anatomy(model, "roberta")
