"""The stage that Transkimmer and Infor-Coef share: predictors put into a model and trained with it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from baselines.parts.token_losses import Fidelity, TokenLosses
from vtrans.forecast import Forecast
from vtrans.methods.base import Job, Stage
from vtrans.settings import Schedule

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vtrans.tokens import DroppingEncoder


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
    """

    schedule: Schedule
    losses: TokenLosses
    rate: float
    temperature: float = 1.0
    attention: Fidelity = "corrected"
    stochastic: bool = False

    def run(self, job: Job) -> None:
        """Attach predictors to `job.model` and train both."""
        from vtrans.objectives.tokens import TokenObjective
        from vtrans.training.loop import fit

        encoder = self.attach(job)
        objective = TokenObjective(job.model, encoder, self.losses.terms, self.rate)
        fit(objective, job.train, self.schedule, job.stage_seed, job.label(self), job.desk)
        encoder.traces = []

    def forecast(self, state: Forecast) -> float:
        """Passes over all tokens: dropped ones are masked while the selector learns."""
        return state.training(self.schedule)

    def attach(self, job: Job) -> "DroppingEncoder":
        """Put new predictors, drawn from the stage's seed, into the job's model."""
        import torch

        from vtrans.anatomy import anatomy_of
        from vtrans.tokens import Predictor, attach

        torch.manual_seed(job.stage_seed)
        settings = {"temperature": self.temperature, "stochastic": self.stochastic, "fidelity": self.attention}
        selector = Predictor.of(anatomy_of(job.model), **settings)
        return attach(job.model, selector.to(_device(job.model)))


def _device(model: "nn.Module") -> "torch.device":
    return next(model.parameters()).device
