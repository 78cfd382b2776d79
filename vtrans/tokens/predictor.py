"""The learnt selector of Transkimmer and Infor-Coef: a small MLP before each layer, sampled by Gumbel-softmax."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtrans.anatomy import Anatomy
from vtrans.errors import SuiteError
from vtrans.selectors import BIAS, PREDICTOR
from vtrans.tokens.attention import Fidelity
from vtrans.tokens.encoder import Selector, TokenDecision, Tokens, register_selector


@register_selector
class Predictor(Selector):
    """Keep or skim, for each token before each layer: LN, Linear, LN, GELU, Linear to two logits.

    In training a hard Gumbel-softmax sample with straight-through gradients, at evaluation the argmax.
    The first token (CLS) always stays.

    Args:
        hidden: width of the residual stream.
        layers: indices of the layers that have one; a layer pruned whole needs none.
        temperature: of the Gumbel-softmax.
        stochastic: sample at evaluation too, as the official codes of both methods do.
        fidelity: `official` masks the attention after the softmax, without renormalising (Transkimmer).
        bias: that the logits start from, `bias` to keep and `-bias` to skim.
    """

    spec = PREDICTOR
    place = "layer"
    learns = True

    def __init__(
        self,
        hidden: int,
        layers: Sequence[int],
        temperature: float = 1.0,
        stochastic: bool = False,
        fidelity: Fidelity = "corrected",
        bias: float = BIAS,
    ) -> None:
        super().__init__()
        self.hidden, self.temperature, self.stochastic, self.fidelity = hidden, temperature, stochastic, fidelity
        self.mlps = nn.ModuleDict({str(index): skim_predictor(hidden, bias) for index in layers})

    @classmethod
    def of(cls, anatomy: Anatomy, **settings: Any) -> "Predictor":
        """One for each layer that has a sub-layer left."""
        layers = [i for i, block in enumerate(anatomy.blocks) if block.heads or block.ffn]
        return cls(anatomy.hidden, layers, **settings)

    def settings(self) -> dict[str, Any]:
        """JSON values to build it from again; weights come with them, so that what they started from does not."""
        return {
            "hidden": self.hidden,
            "layers": [int(index) for index in self.mlps],
            "temperature": self.temperature,
            "stochastic": self.stochastic,
            "fidelity": self.fidelity,
        }

    def macs(self, layer: int, hidden: int) -> float:
        """Those of its two Linears; none where a layer has no predictor."""
        return self.spec.macs(hidden) if str(layer) in self.mlps else 0

    def check(self, anatomy: Anatomy, positions: int) -> None:
        """Raise `SuiteError` where the widths differ."""
        if anatomy.hidden != self.hidden:
            raise SuiteError(
                f"predictor of width {self.hidden} on a model of width {anatomy.hidden}", "build it with Predictor.of"
            )

    def forward(self, layer: int, hidden: Tensor, seen: Tensor | None, tokens: Tokens) -> TokenDecision:
        """Choose among tokens by their states `(..., hidden)`."""
        if str(layer) not in self.mlps:
            return TokenDecision(torch.ones(hidden.shape[:-1], device=hidden.device))
        logits, first = self.mlps[str(layer)](hidden).float(), tokens.first
        if not (self.training or self.stochastic):
            return TokenDecision((logits[..., 1] > logits[..., 0]) | first)
        soft = F.gumbel_softmax(logits, self.temperature)[..., 1]
        hard = (soft > 0.5).float() - soft.detach() + soft
        chances = (hard, logits.softmax(-1)[..., 1], soft)
        return TokenDecision(*(x.masked_fill(first, 1.0) for x in chances))


def skim_predictor(hidden: int, bias: float = BIAS) -> nn.Sequential:
    """One predictor; for width 768 it has 595,202 parameters."""
    last = nn.Linear(hidden, 2)
    nn.init.normal_(last.weight, 0.0, 0.02)
    for unit, mean in enumerate((-bias, bias)):
        nn.init.normal_(last.bias[unit : unit + 1], mean, 0.02)
    mlp = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.LayerNorm(hidden), nn.GELU(), last)
    for module in mlp.modules():
        module._is_hf_initialized = True  # type: ignore[assignment]  # transformers' own start would undo the bias
    return mlp
