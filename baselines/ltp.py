"""LTP: tokens dropped below a learnt threshold of attention (Kim et al. 2022, KDD, "Learned Token Pruning")."""

from dataclasses import dataclass, replace
from typing import Self

from vtrans.forecast import Forecast
from vtrans.methods.base import CompressionState, Method, Stage
from vtrans.methods.stages import Finetune
from vtrans.selectors import THRESHOLD
from vtrans.settings import Schedule, Setting, check_range


@dataclass(frozen=True)
class LearnThresholds(Stage):
    """Train the model and a threshold for each layer under soft masks; leave the hard selector.

    Attributes:
        schedule: of the model's weights.
        penalty: lambda of the mask's mean in each layer (code: 0.01 to 0.2).
        rate: peak learning rate of the thresholds.
        final: what the starts of the thresholds rise to over the layers (code: 0.01).
        temperature: of the sigmoid (code: 1e-4 to 2e-3).
    """

    schedule: Schedule
    penalty: float
    rate: float
    final: float = 0.01
    temperature: float = 1e-3

    def run(self, state: CompressionState) -> None:
        """Train, then put the thresholds that were learnt into the hard selector of `state.model`."""
        from baselines.parts.threshold_search import SoftThreshold, ThresholdObjective
        from vtrans.anatomy import anatomy_of
        from vtrans.tokens import Threshold, attach

        soft = SoftThreshold(len(anatomy_of(state.model).blocks), self.final, self.temperature)
        encoder = attach(state.model, soft.to(next(state.model.parameters()).device))
        state.fit(self, ThresholdObjective(state.model, encoder, self.penalty, self.rate), self.schedule)
        hard = Threshold(soft.thresholds.detach().tolist())
        attach(state.model, hard)
        state.report["thresholds"] = list(hard.thresholds)

    def forecast(self, outlook: Forecast) -> float:
        """Passes over all tokens: none is dropped yet."""
        return outlook.training(self.schedule)


@dataclass(frozen=True)
class LTP(Method):
    """Learn thresholds under soft masks, then train on with the tokens below them gone.

    Attributes:
        soft, hard: schedules of the two stages.
        penalty: lambda of the soft stage.
        rate: peak learning rate of the thresholds.
        temperature: of the soft masks.
    """

    name = "LTP"
    summary = "tokens dropped below a learnt threshold of the attention they get"
    sized = False
    selector = THRESHOLD
    scalable = True

    soft: Schedule
    hard: Schedule
    penalty: float = 0.1
    rate: float = 2e-5
    temperature: float = 1e-3

    def __post_init__(self) -> None:
        check_range(self, "penalty", 0)
        check_range(self, "rate", 0)
        check_range(self, "temperature", 0, open_low=True)

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """As its code has it on GLUE; where steps are few, thresholds that get anywhere in them.

        A token of a sequence of a dozen gets a share of about 0.1: at a temperature of 1e-3 the sigmoid is flat there.
        Their penalty is 0.01, by trials under `small` on rows held out of train (one seed): see docs/notes.md.
        """
        if setting.scale == "paper" and setting.suite == "glue":
            few = setting.task in ("cola", "mrpc", "rte", "stsb", "wnli")
            soft = Schedule(epochs=10 if few else 1, batch=64, lr=2e-5, embeddings=True)
            return cls(soft, replace(soft, epochs=5, lr=1e-5))
        schedules = (setting.schedules.token_search, setting.schedules.tokens)
        return cls(*schedules, penalty=0.01, rate=1e-3, temperature=1e-2) if setting.short else cls(*schedules)

    def stages(self) -> tuple[Stage, ...]:
        """Soft, hard."""
        return (LearnThresholds(self.soft, self.penalty, self.rate, temperature=self.temperature), Finetune(self.hard))

    def scaled(self, loss_scale: float) -> "LTP":
        """The same with `loss_scale` times the penalty."""
        return replace(self, penalty=self.penalty * loss_scale)
