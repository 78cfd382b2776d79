"""Infor-Coef: information-bottleneck token dropping on a statically pruned model (Tan 2023, arXiv 2305.12458)."""

from dataclasses import dataclass, replace

from baselines.parts.token_losses import TokenLosses
from baselines.parts.token_training import LearnTokens
from vtrans.methods.base import Method, Stage
from vtrans.settings import Schedule


@dataclass(frozen=True)
class InforCoef(Method):
    """Stage 2 of the paper, on whatever model it is given: a pruned one, or a dense one for the dynamic half alone.

    Attributes:
        train: schedule; CE on the labels, no distillation.
        losses: L_ce + gamma_1 L_entropy + gamma_2 L_norm (equation 18), the latter after a warm-up; with `skim`
            in the place of `norm`, the alternative of the paper's figure 3.
        rate: peak learning rate of the samplers.
        temperature: of the Gumbel-softmax.
        stochastic: sample the decisions at evaluation too, as the official code does.
    """

    train: Schedule
    losses: TokenLosses = TokenLosses(entropy=4e-4, norm=0.5, warmup=0.1)
    rate: float = 1e-3
    temperature: float = 1.0
    stochastic: bool = False

    def stages(self) -> tuple[Stage, ...]:
        """One stage."""
        return (LearnTokens(self.train, self.losses, self.rate, self.temperature, stochastic=self.stochastic),)

    def scaled(self, loss_scale: float) -> "InforCoef":
        """The same with `factor` times the pressure to drop."""
        losses = replace(self.losses, norm=self.losses.norm * loss_scale, skim=self.losses.skim * loss_scale)
        return replace(self, losses=losses)
