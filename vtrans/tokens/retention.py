"""The fixed selector of PoWER-BERT: after each attention, so many of its most significant tokens."""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vtrans.anatomy import Anatomy
from vtrans.errors import SuiteError
from vtrans.tokens.encoder import Choice, Tokens


class Retention(nn.Module):
    """Keep the first token and the `lengths[layer] - 1` most significant others, in their order.

    A layer whose attention was pruned whole gives no significance and keeps all tokens.

    Args:
        lengths: tokens to keep at each layer, the retention configuration.

    Raises:
        SuiteError: the configuration rises, or goes below 1.
    """

    kind, place, learns, fidelity = "retention", "ffn", False, "corrected"

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

    def forward(self, layer: int, hidden: Tensor, seen: Tensor | None, tokens: Tokens) -> Choice:
        """Choose among tokens by their significance `seen`."""
        assert seen is not None, "significance comes with place `ffn`"
        return Choice((tokens.ranks(seen) < self.lengths[layer]).float())


class SoftRetention(nn.Module):
    """The configuration search: a token of rank k by significance is multiplied by a learnt weight W[layer, k].

    It drops nothing itself. The last weight serves all later ranks too. The first token has rank 0, for it is
    the one that stays later; the official code ranks it like the others in its search.

    Args:
        layers: number of layers.
        length: number of ranks, the fixed length of the task's sequences.
    """

    kind, place, learns, fidelity = "soft-retention", "ffn", True, "corrected"

    def __init__(self, layers: int, length: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(layers, length))

    def settings(self) -> dict[str, Any]:
        """JSON values to build it from again."""
        return {"layers": self.weights.shape[0], "length": self.weights.shape[1]}

    def check(self, anatomy: Anatomy, positions: int) -> None:
        """It fits every model it is built for."""

    def forward(self, layer: int, hidden: Tensor, seen: Tensor | None, tokens: Tokens) -> Choice:
        """Keep all tokens, scaled by the weights of their ranks."""
        assert seen is not None, "significance comes with place `ffn`"
        rank = tokens.ranks(seen).clamp(max=self.weights.shape[1] - 1)
        return Choice(torch.ones_like(seen), scale=self.weights[layer][rank])

    def penalty(self) -> Tensor:
        """Sum over layers j, counted from 1, of j |W_j|: later layers are to keep fewer. 0-d."""
        order = torch.arange(1, len(self.weights) + 1, device=self.weights.device)
        return (order * self.weights.abs().sum(1)).sum()

    @torch.no_grad()
    def clamp_(self) -> None:
        """Bring the weights back into [0, 1]."""
        self.weights.clamp_(0, 1)

    def configuration(self) -> list[int]:
        """Tokens to keep at each layer: the mass of its weights, no more than before, at least 1."""
        lengths: list[int] = []
        for mass in self.weights.detach().sum(1).tolist():
            lengths.append(max(1, min(int(mass + 1e-4), lengths[-1] if lengths else self.weights.shape[1])))
        return lengths


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
