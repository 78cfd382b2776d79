"""What is known of token selectors without torch: their kinds, and what they cost."""

from collections.abc import Callable
from dataclasses import dataclass

from vtrans.errors import SuiteError


@dataclass(frozen=True)
class SelectorSpec:
    """A kind of token selector.

    Attributes:
        kind: name in saved models.
        macs: multiply-accumulates per token that enters a layer which has one, from the hidden width.
    """

    kind: str
    macs: Callable[[int], float]

    def __post_init__(self) -> None:
        if not self.kind or not callable(self.macs):
            raise SuiteError(f"selector {self.kind!r} lacks its kind or its MACs", "name it, and give MACs per token")


BIAS = 5.0  # logits of a predictor start at +-5: P(skim) = sigmoid(-10) = 4.5e-5 (Transkimmer's code)
PREDICTOR = SelectorSpec("predictor", lambda hidden: hidden * hidden + 2 * hidden)  # Linears to hidden and to 2 logits
THRESHOLD = SelectorSpec("threshold", lambda hidden: 0)  # a comparison with sums over what the attention has computed
RETENTION = SelectorSpec("retention", lambda hidden: 0)  # sums over what the attention has computed
