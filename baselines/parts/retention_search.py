"""PoWER-BERT's configuration search: soft retention weights, and what trains them."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from vtrans.objectives.tokens import TokenObjective
from vtrans.selectors import SelectorSpec
from vtrans.tokens.encoder import Selector, TokenDecision, TokenPruningEncoder, Tokens, Trace, register_selector


@register_selector
class SoftRetention(Selector):
    """The configuration search: a token of rank k by significance is multiplied by a learnt weight W[layer, k].

    It drops nothing itself. The last weight serves all later ranks too. The first token has rank 0, for it is
    the one that stays later; the official code ranks it like the others in its search.

    Args:
        layers: number of layers.
        length: number of ranks, the fixed length of the task's sequences.
    """

    spec = SelectorSpec("soft-retention", lambda hidden: 0)  # a factor per token
    place = "ffn"
    learns = True

    def __init__(self, layers: int, length: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(layers, length))

    def settings(self) -> dict[str, Any]:
        """JSON values to build it from again."""
        return {"layers": self.weights.shape[0], "length": self.weights.shape[1]}

    def forward(self, layer: int, hidden: Tensor, seen: Tensor | None, tokens: Tokens) -> TokenDecision:
        """Keep all tokens, scaled by the weights of their ranks."""
        assert seen is not None, "significance comes with place `ffn`"
        rank = tokens.ranks(seen).clamp(max=self.weights.shape[1] - 1)
        return TokenDecision(torch.ones_like(seen), scale=self.weights[layer][rank])

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


class SearchObjective(TokenObjective):
    """PoWER-BERT's search: the task's loss under soft retention, and a penalty on what each layer retains."""

    def __init__(self, model: nn.Module, encoder: TokenPruningEncoder, penalty: float, rate: float) -> None:
        super().__init__(model, encoder, self._penalty, rate)
        self.penalty = penalty

    @property
    def soft(self) -> SoftRetention:
        """The weights under search."""
        return cast("SoftRetention", self.encoder.selector)

    def _penalty(self, traces: Sequence[Trace], progress: float) -> dict[str, Tensor]:
        return {"retention": self.penalty * self.soft.penalty()}

    def after_step(self) -> None:
        """Bring the retention weights back into [0, 1]."""
        self.soft.clamp_()

    @torch.no_grad()
    def metrics(self) -> dict[str, float]:
        """Tokens that the weights stand for, mean over layers and at the last one."""
        mass = self.soft.weights.sum(1)
        return {"retained": float(mass.mean()), "retained_last": float(mass[-1])}
