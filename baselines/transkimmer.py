"""Transkimmer: a predictor before each layer skims tokens (Guan, Li, Leng, Lin, Guo 2022, ACL)."""

from dataclasses import dataclass, replace
from typing import Self

from baselines.parts.token_losses import Fidelity, TokenLosses
from baselines.parts.token_training import LearnTokens
from vtrans.methods.base import Method, Stage
from vtrans.selectors import PREDICTOR
from vtrans.settings import Schedule, Setting, check_choices, check_range

FIVE = ("mrpc", "wnli")  # tasks trained for five epochs, the others for three


@dataclass(frozen=True)
class Transkimmer(Method):
    """Train model and predictors under the task's loss and the skim loss.

    Attributes:
        train: schedule; starts from the fine-tuned model, where the paper starts from the pretrained one.
        skim: coefficient of the skim loss (scripts: 0.5 on GLUE).
        rate: peak learning rate of the predictors.
        temperature: of the Gumbel-softmax.
        fidelity: `official` trains with the masked attention unnormalised and padding in the skim loss, as the
            code that the published numbers come from. That code evaluates so too; here dropped tokens are gone
            at evaluation, so that the model is not quite the one that was trained.
        stochastic: sample the decisions at evaluation too, as the official code does.
    """

    name = "Transkimmer"
    summary = "tokens skimmed by a predictor before each layer"
    sized = False
    selector = PREDICTOR
    scalable = True

    train: Schedule
    skim: float = 0.5
    rate: float = 1e-3
    temperature: float = 1.0
    fidelity: Fidelity = "corrected"
    stochastic: bool = False

    def __post_init__(self) -> None:
        check_range(self, "rate", 0)
        check_range(self, "skim", 0)
        check_range(self, "temperature", 0, open_low=True)
        check_choices(self)

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """With the published schedule on GLUE, and the coefficient of 0.3 that the paper's script for SQuAD has.

        Where steps are few, predictors at a rate that gets them anywhere.
        """
        if setting.scale == "paper":
            skim = Schedule(batch=64, accumulate=2, lr=2e-5, embeddings=True, epochs=5 if setting.task in FIVE else 3)
            return cls(skim, rate=2e-5) if setting.suite == "glue" else cls(setting.schedules.tokens, 0.3, 2e-5)
        return cls(setting.schedules.tokens, rate=5e-3 if setting.scale == "quick" else 1e-3)

    def stages(self) -> tuple[Stage, ...]:
        """One stage."""
        losses = TokenLosses(skim=self.skim, fidelity=self.fidelity)
        learn = LearnTokens(self.train, losses, self.rate, self.temperature, self.fidelity, self.stochastic)
        return (learn,)

    def scaled(self, loss_scale: float) -> "Transkimmer":
        """The same with `factor` times the pressure to skim."""
        return replace(self, skim=self.skim * loss_scale)
