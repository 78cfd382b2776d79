"""Weights of what a distilled student is trained on. No torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StudentLosses:
    """Weights of a student's loss terms.

    Attributes:
        prediction: T^2 KL of the logits.
        task: cross-entropy on the labels.
        cosine: 1 - cos of the last hidden states.
        hidden: mean squared error of hidden states, embeddings included, the student's linearly transformed.
        attention: mean squared error of attention weights. TinyBERT fits the scores before the softmax.
        temperature: T.
    """

    prediction: float = 0.0
    task: float = 0.0
    cosine: float = 0.0
    hidden: float = 0.0
    attention: float = 0.0
    temperature: float = 1.0
