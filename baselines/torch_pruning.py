"""Torch-Pruning: importance along the traced dependency graph (Fang et al. 2023, CVPR, "DepGraph")."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from baselines.one_shot import check_reached
from vtrans.forecast import Forecast
from vtrans.methods.base import CompressionState, Method, Stage
from vtrans.methods.stages import Materialise, Recover
from vtrans.settings import Budget, Distillation, Schedule, Setting, check_range

if TYPE_CHECKING:
    from torch import nn

    from baselines.parts.dependency_scores import UnitScores
    from vtrans.pruning.masks import Masks


@dataclass(frozen=True)
class ScoreGroups(Stage):
    """Keep the same share of hidden units, and of heads and FFN units in each layer, by the library's importance.

    That is the library's own rule for transformers. Heads are coarse: FFN units make up what rounding leaves open.

    Attributes:
        budget: size to reach.
        importance: `taylor`, of the task loss's gradients on some rows, or `magnitude`.
        hidden: whether hidden units are pruned; without them heads and FFN units give the whole budget.
        samples: training rows whose gradients are taken.
    """

    budget: Budget
    importance: Literal["taylor", "magnitude"]
    hidden: bool = True
    samples: int = 2048

    def __post_init__(self) -> None:
        check_range(self, "samples", 1)

    def run(self, state: CompressionState) -> None:
        """Set `state.decision`."""
        from baselines.parts.dependency_scores import accumulate_gradients, dependency_scores
        from baselines.parts.mask_gradients import ReportedBatches, draw_rows
        from vtrans.methods.stages import size_for
        from vtrans.pruning.counts import Counts
        from vtrans.pruning.size import removed

        batches = ReportedBatches(draw_rows(state.train, self.samples, state.stage_seed), state, self)
        model = state.model
        if self.importance == "taylor":
            with batches.metered():
                accumulate_gradients(model, state.train, batches)
        device = next(model.parameters()).device
        example = {name: value[:1].to(device) for name, value in state.train.batch([0]).items() if name != "labels"}
        scores = dependency_scores(model, example, self.importance)
        model.zero_grad()
        size = size_for(state, self.budget)
        decision = self.choose(model, scores, lambda masks: float(removed(self.budget, size, Counts.of(masks))))
        state.decision = decision
        state.report["pruning"] = {"kept": decision.kept(), "heads_kept": decision.heads_kept()}

    def choose(self, model: "nn.Module", scores: "UnitScores", real: "Callable[[Masks], float]") -> "Masks":
        """The decision at the budget's size, which `real` counts.

        Raises:
            SuiteError: it is out of reach.
        """
        from baselines.parts.unit_scores import keep_share
        from vtrans.anatomy import anatomy_of
        from vtrans.pruning.calibration import bisect

        anatomy, hidden = anatomy_of(model), scores.hidden if self.hidden else None

        def keep(gone: float, gone_ffn: float) -> "Masks":
            """The best units, without those shares of hidden units and heads, and of FFN units."""
            return keep_share(anatomy, scores.heads, scores.ffn, 1 - gone, 1 - gone_ffn, hidden)

        gone = bisect(lambda share: real(keep(share, share)), self.budget.sparsity, 0.0, 1.0)
        gone_ffn = bisect(lambda share: real(keep(gone, share)), self.budget.sparsity, 0.0, 1.0)
        decision = keep(gone, gone_ffn)
        check_reached(self.budget, real(decision))
        return decision

    def forecast(self, outlook: Forecast) -> float:
        """Forward and backward passes over the samples."""
        outlook.decide(self.budget)
        return 3.0 * min(self.samples, outlook.rows) if self.importance == "taylor" else 0.0


@dataclass(frozen=True)
class TorchPruning(Method):
    """Score groups, cut them out, recover as all other methods do."""

    sized = True
    importance: ClassVar[Literal["taylor", "magnitude"]]

    budget: Budget
    score: ScoreGroups
    recover: Schedule
    distillation: Distillation = Distillation()

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """With the setting's recovery."""
        return cls(setting.budget, ScoreGroups(setting.budget, cls.importance), setting.schedules.recover)

    def packages(self) -> tuple[str, ...]:
        """The library itself, of the extra `peers`."""
        return ("torch_pruning",)

    def target(self) -> Budget:
        """The budget."""
        return self.budget

    def stages(self) -> tuple[Stage, ...]:
        """Score, materialise, recover."""
        return (self.score, Materialise(), Recover(self.recover, self.distillation))


@dataclass(frozen=True)
class TorchPruningTaylor(TorchPruning):
    """First-order Taylor importance."""

    name = "Torch-Pruning-Taylor"
    summary = "groups of least Taylor importance by Torch-Pruning, one-shot (extra `peers`)"
    importance = "taylor"


@dataclass(frozen=True)
class TorchPruningMagnitude(TorchPruning):
    """Importance by norms."""

    name = "Torch-Pruning-magnitude"
    summary = "groups of smallest norm by Torch-Pruning, one-shot (extra `peers`)"
    importance = "magnitude"
