"""Token dropping: a model whose layers run on ever fewer tokens, masked in training and gathered at inference."""

from vtrans.tokens.encoder import DroppingEncoder, attach, dropping_encoder, token_lengths
from vtrans.tokens.predictor import Predictor
from vtrans.tokens.retention import Retention

__all__ = ["DroppingEncoder", "Predictor", "Retention", "attach", "dropping_encoder", "token_lengths"]
