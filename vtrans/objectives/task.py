"""The loss on a batch's own labels, as transformers defines it, without its copies of a vocabulary's logits."""

from typing import Any

from torch import Tensor, nn

from vtrans.data.examples import inputs_of, unlabelled
from vtrans.objectives.vocabulary import next_token_loss

Batch = dict[str, Tensor]


def has_token_labels(batch: Batch) -> bool:
    """Whether each token has a label of its own, and not each sequence."""
    return "labels" in batch and batch["labels"].ndim == 2


def outputs_and_loss(model: nn.Module, batch: Batch, next_token: bool, **options: Any) -> tuple[Any, Tensor]:
    """What a model gives for a batch, and its loss on the labels, 0-d.

    Args:
        model: takes the batch as transformers' models do.
        batch: inputs and labels.
        next_token: whether the logits at a token are of the token after it (`Anatomy.predicts_next_token`).
        **options: of the model's call.
    """
    if not (next_token and has_token_labels(batch)):
        outputs = model(**inputs_of(batch), **options)
        return outputs, outputs.loss
    outputs = model(**unlabelled(batch), **options)
    return outputs, next_token_loss(outputs.logits, batch["labels"])
