"""PoWER-BERT: word vectors dropped by the attention they get (Goyal et al. 2020, ICML)."""

from dataclasses import dataclass, replace
from typing import Self

from vtrans.forecast import Forecast
from vtrans.methods.base import CompressionState, Method, Stage
from vtrans.methods.stages import Finetune
from vtrans.selectors import RETENTION
from vtrans.settings import Schedule, Setting, check_range

# Of its README, by task: lambda, rate of the retention weights, rate of the model, batch.
PUBLISHED = {
    "cola": (7e-3, 1.5e-3, 2e-5, 32),
    "rte": (1e-3, 3e-3, 3e-5, 16),
    "qqp": (3e-4, 1e-4, 3e-5, 64),
    "mrpc": (3e-3, 3e-3, 6e-5, 64),
    "sst2": (2e-4, 5e-4, 3e-5, 64),
    "mnli": (1e-4, 2e-4, 3e-5, 64),
    "qnli": (1.5e-4, 2e-4, 3e-5, 16),
    "stsb": (1e-3, 3e-3, 3e-5, 64),
}
DEFAULT = PUBLISHED["sst2"]


@dataclass(frozen=True)
class SearchRetention(Stage):
    """Find how many tokens each layer needs: weights on the ranks of significance, under an L1 penalty.

    Attributes:
        schedule: of the model's weights.
        length: ranks of each layer, the fixed length of the task's sequences.
        penalty: lambda of `lambda sum_j j |W_j|`.
        rate: peak learning rate of the retention weights.
    """

    schedule: Schedule
    length: int
    penalty: float
    rate: float

    def run(self, state: CompressionState) -> None:
        """Train, then leave the hard selector of the configuration that was found in `state.model`."""
        import torch

        from baselines.parts.retention_search import SearchObjective, SoftRetention
        from vtrans.anatomy import anatomy_of
        from vtrans.tokens import Retention, attach

        torch.manual_seed(state.stage_seed)
        positions = state.model.config.max_position_embeddings  # type: ignore[union-attr]
        soft = SoftRetention(len(anatomy_of(state.model).blocks), min(self.length, int(positions)))  # type: ignore[arg-type]
        encoder = attach(state.model, soft.to(next(state.model.parameters()).device))
        objective = SearchObjective(state.model, encoder, self.penalty, self.rate)
        state.fit(self, objective, self.schedule)
        attach(state.model, Retention(soft.configuration()))
        state.report["retention"] = soft.configuration()

    def forecast(self, outlook: Forecast) -> float:
        """Passes over all tokens: none is dropped yet."""
        return outlook.training(self.schedule)


@dataclass(frozen=True)
class PowerBert(Method):
    """Search a retention configuration on the fine-tuned model, then train on with its tokens gone.

    Attributes:
        search, retrain: schedules.
        length: fixed length of the task's sequences.
        penalty: lambda of the search (README: 1e-4 to 7e-3).
        rate: peak learning rate of the retention weights (README: 1e-4 to 3e-3).
    """

    name = "PoWER-BERT"
    summary = "tokens dropped by the attention they get, a fixed number per layer"
    sized = False
    selector = RETENTION
    scalable = True

    search: Schedule
    retrain: Schedule
    length: int
    penalty: float = 2e-4
    rate: float = 3e-3

    def __post_init__(self) -> None:
        check_range(self, "length", 1)
        check_range(self, "penalty", 0)
        check_range(self, "rate", 0)

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """As its README has it on GLUE; where steps are few, retention weights at a faster rate."""
        search, retrain = setting.schedules.token_search, setting.schedules.tokens
        if setting.scale == "paper" and setting.suite == "glue":
            penalty, rate, lr, batch = PUBLISHED.get(setting.task, DEFAULT)
            search = Schedule(epochs=3, batch=batch, lr=lr, warmup=0.1, embeddings=True)
            return cls(search, search, setting.length, penalty, rate)
        return cls(search, retrain, setting.length, rate=0.03 if setting.short else 3e-3)

    def stages(self) -> tuple[Stage, ...]:
        """Search, retrain."""
        return (SearchRetention(self.search, self.length, self.penalty, self.rate), Finetune(self.retrain))

    def scaled(self, loss_scale: float) -> "PowerBert":
        """The same with `factor` times the penalty."""
        return replace(self, penalty=self.penalty * loss_scale)
