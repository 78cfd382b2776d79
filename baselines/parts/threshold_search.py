"""LTP's soft stage: thresholds that are learnt, and what trains them."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from vtrans.objectives.tokens import TokenObjective
from vtrans.selectors import SelectorSpec
from vtrans.tokens.encoder import Selector, TokenDecision, TokenPruningEncoder, Tokens, Trace, register_selector


@register_selector
class SoftThreshold(Selector):
    """The states that leave a layer are multiplied by `sigmoid((significance - threshold) / temperature)`.

    It drops nothing itself. Gradients reach the thresholds, not the significance, unlike in LTP's code: at a
    temperature of 1e-3 they would come back a thousand times as large through the attention. So queries and keys do
    not learn what to let through. The first token is not scaled, for it stays later.

    Args:
        layers: number of layers.
        final: what the starts rise to, in even steps: layer l of L, from 0, starts at `final` l / L, as in LTP's code.
        temperature: of the sigmoid.
    """

    spec = SelectorSpec("soft-threshold", lambda hidden: 0)  # a factor per token
    place = "ffn"
    learns = True
    significance = "mean"

    def __init__(self, layers: int, final: float, temperature: float) -> None:
        super().__init__()
        self.final, self.temperature = final, temperature
        self.thresholds = nn.Parameter(final * torch.arange(layers) / layers)

    def settings(self) -> dict[str, Any]:
        """JSON values to build it from again."""
        return {"layers": len(self.thresholds), "final": self.final, "temperature": self.temperature}

    def forward(self, layer: int, hidden: Tensor, seen: Tensor | None, tokens: Tokens) -> TokenDecision:
        """Keep all tokens, those below the threshold scaled down."""
        assert seen is not None, "significance comes with place `ffn`"
        soft = torch.sigmoid((seen - self.thresholds[layer]) / self.temperature).masked_fill(tokens.first, 1.0)
        return TokenDecision(torch.ones_like(seen), soft, soft, scale_output=soft)


class ThresholdObjective(TokenObjective):
    """The task's loss under soft thresholds, and a penalty on what each layer lets through (section 3.3).

    Args:
        model: with a dropping encoder.
        encoder: that encoder, its selector a `SoftThreshold`.
        penalty: lambda of `lambda sum_layers mean(mask)`, the mean over real tokens.
        rate: peak learning rate of the thresholds.
    """

    def __init__(self, model: nn.Module, encoder: TokenPruningEncoder, penalty: float, rate: float) -> None:
        super().__init__(model, encoder, self._penalty, rate)
        self.penalty, self._open = penalty, list[float]()

    def _penalty(self, traces: Sequence[Trace], progress: float) -> dict[str, Tensor]:
        shares = [_share(trace) for trace in traces]
        self._open = [share.item() for share in shares]
        return {"tokens": self.penalty * torch.stack(shares).sum()} if shares else {}

    def metrics(self) -> dict[str, float]:
        """Share of real tokens that get through a layer, mean over layers and at the last one, and its threshold."""
        last = cast("SoftThreshold", self.encoder.selector).thresholds[-1].item()
        found = {"kept": sum(self._open) / len(self._open), "kept_last": self._open[-1]} if self._open else {}
        return found | {"threshold_last": last}


def _share(trace: Trace) -> Tensor:
    assert trace.decision.soft is not None, "soft thresholds give soft masks"
    return (trace.decision.soft * trace.real).sum() / trace.real.sum()
