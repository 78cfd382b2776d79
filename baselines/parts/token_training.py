"""The stage that Transkimmer and Infor-Coef share: predictors put into a model and trained with it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from baselines.parts.token_losses import Fidelity, TokenLosses
from vtrans.forecast import TRAINED, Forecast
from vtrans.methods.base import CompressionState, Stage
from vtrans.selectors import BIAS
from vtrans.settings import Schedule

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vtrans.tokens import TokenPruningEncoder


PREDICTOR = 1 / 12  # of a dense layer's MACs: d^2 and little more, where a layer of BERT's shape has 12 d^2


@dataclass(frozen=True)
class LearnTokens(Stage):
    """Train a model on its labels while its layers learn to do with fewer tokens; no distillation.

    Attributes:
        schedule: of the model's weights.
        losses: terms beside the task's loss.
        rate: peak learning rate of the predictors; a short run needs a higher one than the weights, to get
            from a bias of 5 to decisions.
        temperature: of the Gumbel-softmax.
        attention: `official` masks attention after the softmax, without renormalising.
        stochastic: sample at evaluation too.
        bias: of the predictors' logits at their start.
    """

    schedule: Schedule
    losses: TokenLosses
    rate: float
    temperature: float = 1.0
    attention: Fidelity = "corrected"
    stochastic: bool = False
    bias: float = BIAS

    def run(self, state: CompressionState) -> None:
        """Attach predictors to `state.model` and train both."""
        from vtrans.objectives.tokens import TokenObjective

        encoder = self.attach(state)
        objective = TokenObjective(state.model, encoder, self.losses.weighted, self.rate)
        state.fit(self, objective, self.schedule)

    def forecast(self, outlook: Forecast) -> float:
        """Passes over all tokens, dropped ones being masked while the selector learns, and those of predictors."""
        return outlook.training(self.schedule) + TRAINED * PREDICTOR * outlook.drawn(self.schedule)

    def attach(self, state: CompressionState) -> "TokenPruningEncoder":
        """Put new predictors, drawn from the stage's seed, into the state's model."""
        import torch

        from vtrans.anatomy import anatomy_of
        from vtrans.tokens import Predictor, attach

        torch.manual_seed(state.stage_seed)
        settings = {"temperature": self.temperature, "stochastic": self.stochastic, "fidelity": self.attention}
        selector = Predictor.of(anatomy_of(state.model), **settings, bias=self.bias)
        return attach(state.model, selector.to(_device(state.model)))


def _device(model: "nn.Module") -> "torch.device":
    return next(model.parameters()).device
