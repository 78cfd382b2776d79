"""The fixed selector of PoWER-BERT: after each attention, so many of its most significant tokens."""

import itertools
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from vtrans.anatomy import Anatomy
from vtrans.errors import SuiteError
from vtrans.selectors import RETENTION
from vtrans.tokens.encoder import Selector, TokenDecision, Tokens, register_selector


@register_selector
class Retention(Selector):
    """Keep the first token and the `lengths[layer] - 1` most significant others, in their order.

    A layer whose attention was pruned whole gives no significance and keeps all tokens.

    Args:
        lengths: tokens to keep at each layer, the retention configuration.

    Raises:
        SuiteError: the configuration rises, or goes below 1.
    """

    spec = RETENTION
    place = "ffn"
    learns = False

    def __init__(self, lengths: Sequence[int]) -> None:
        super().__init__()
        self.lengths = check_configuration(lengths)

    def settings(self) -> dict[str, Any]:
        """JSON values to build it from again."""
        return {"lengths": list(self.lengths)}

    def check(self, anatomy: Anatomy, positions: int) -> None:
        """Raise `SuiteError` where the configuration has more layers or tokens than the model."""
        if len(self.lengths) != len(anatomy.blocks) or self.lengths[0] > positions:
            raise SuiteError(
                f"retention configuration of {len(self.lengths)} layers and {self.lengths[0]} tokens on a model "
                f"of {len(anatomy.blocks)} layers and {positions} positions",
                "give one length for each layer, none above the positions",
            )

    def forward(self, layer: int, hidden: Tensor, seen: Tensor | None, tokens: Tokens) -> TokenDecision:
        """Choose among tokens by their significance `seen`."""
        assert seen is not None, "significance comes with place `ffn`"
        return TokenDecision((tokens.ranks(seen) < self.lengths[layer]).float())


def check_configuration(lengths: Sequence[int]) -> tuple[int, ...]:
    """The configuration as a tuple.

    Raises:
        SuiteError: it rises from one layer to the next, or goes below 1.
    """
    for layer, (before, after) in enumerate(itertools.pairwise(lengths)):
        if after > before:
            raise SuiteError(
                f"retention configuration rises from {before} to {after} tokens at layer {layer + 1}",
                "tokens that are gone do not come back: give lengths that fall or stay",
            )
    if not lengths or min(lengths) < 1:
        raise SuiteError(f"retention configuration {list(lengths)} keeps no token", "keep at least 1, the first token")
    return tuple(lengths)
