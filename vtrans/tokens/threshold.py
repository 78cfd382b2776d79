"""The fixed selector of LTP: after each attention, the tokens whose significance exceeds the layer's threshold."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from vtrans.anatomy import Anatomy
from vtrans.errors import SuiteError
from vtrans.selectors import THRESHOLD
from vtrans.tokens.encoder import Selector, TokenDecision, Tokens, register_selector

LOWEST = 1e-5  # of its code: a token that gets less attention goes under any threshold


@register_selector
class Threshold(Selector):
    """Keep the first token and those that get more attention than a threshold, mean over heads and tokens.

    LTP's code lets the first token go, too. How many stay depends on the sequence. A layer whose attention was pruned
    whole keeps all tokens.

    Args:
        thresholds: of each layer.
    """

    spec = THRESHOLD
    place = "ffn"
    learns = False
    significance = "mean"

    def __init__(self, thresholds: Sequence[float]) -> None:
        super().__init__()
        self.thresholds = tuple(max(LOWEST, float(threshold)) for threshold in thresholds)

    def settings(self) -> dict[str, Any]:
        """JSON values to build it from again."""
        return {"thresholds": list(self.thresholds)}

    def check(self, anatomy: Anatomy, positions: int) -> None:
        """Raise `SuiteError` where it has more or fewer layers than the model."""
        if len(self.thresholds) != len(anatomy.blocks):
            raise SuiteError(
                f"{len(self.thresholds)} thresholds on a model of {len(anatomy.blocks)} layers", "give one for each"
            )

    def forward(self, layer: int, hidden: Tensor, seen: Tensor | None, tokens: Tokens) -> TokenDecision:
        """Choose among tokens by their significance `seen`."""
        assert seen is not None, "significance comes with place `ffn`"
        return TokenDecision(((seen > self.thresholds[layer]) | tokens.first).float())
