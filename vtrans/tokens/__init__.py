"""Token dropping: a model whose layers run on ever fewer tokens, masked in training and gathered at inference."""

from vtrans.tokens.encoder import (
    Selector,
    TokenPruningEncoder,
    record_tokens,
    register_selector,
    token_pruning_encoder,
)
from vtrans.tokens.model import attach
from vtrans.tokens.predictor import Predictor
from vtrans.tokens.retention import Retention
from vtrans.tokens.threshold import Threshold

__all__ = [
    "Predictor",
    "Retention",
    "Selector",
    "Threshold",
    "TokenPruningEncoder",
    "attach",
    "record_tokens",
    "register_selector",
    "token_pruning_encoder",
]
