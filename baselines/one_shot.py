"""Rows that show whether a method does anything: units chosen without training, then the same recovery."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from baselines.parts.unit_scores import keep_share, unit_scores
from vtrans.forecast import Forecast
from vtrans.methods.base import CompressionState, Method, Stage
from vtrans.methods.stages import Materialise, Recover
from vtrans.settings import Budget, Distillation, Schedule, Setting

if TYPE_CHECKING:
    from vtrans.pruning.masks import Masks


@dataclass(frozen=True)
class Choose(Stage):
    """Keep the heads and FFN units with the highest score, the same share in each layer.

    Attributes:
        budget: size to reach.
        score: `random`, or `magnitude`: the Euclidean norm of all weights of a unit.
    """

    budget: Budget
    score: Literal["random", "magnitude"]

    def run(self, state: CompressionState) -> None:
        """Set `state.decision`."""
        import torch

        from vtrans.anatomy import anatomy_of
        from vtrans.methods.stages import size_for
        from vtrans.pruning.calibration import bisect
        from vtrans.pruning.counts import Counts
        from vtrans.pruning.size import removed

        anatomy, size = anatomy_of(state.model), size_for(state, self.budget)
        generator = torch.Generator().manual_seed(state.stage_seed)
        heads, ffn = unit_scores(state.model, anatomy, self.score, generator)

        share = 1 - self.budget.sparsity

        def choose(removed_ffn: float) -> "Masks":
            """Keep the best units of each layer."""
            return keep_share(anatomy, heads, ffn, share, 1 - removed_ffn)

        def real(removed_ffn: float) -> float:
            """Sparsity that is reached."""
            return float(removed(self.budget, size, Counts.of(choose(removed_ffn))))

        # Heads are coarse: their share is that of the budget, rounded, and FFN units make up the difference.
        best = bisect(real, self.budget.sparsity, 0.0, 1.0)
        check_reached(self.budget, real(best))
        state.decision = choose(best)
        state.report["pruning"] = {"kept": state.decision.kept()}

    def forecast(self, outlook: Forecast) -> float:
        """A decision without training."""
        outlook.decide(self.budget)
        return 0.0


@dataclass(frozen=True)
class OneShot(Method):
    """Choose units once, cut them out, recover by distillation."""

    sized = True

    budget: Budget
    recover: Schedule
    score: Literal["random", "magnitude"]
    distillation: Distillation = Distillation()

    def target(self) -> Budget:
        """The budget."""
        return self.budget

    def stages(self) -> tuple[Stage, ...]:
        """Choose, materialise, recover."""
        return (Choose(self.budget, self.score), Materialise(), Recover(self.recover, self.distillation))


@dataclass(frozen=True)
class Random(OneShot):
    """Random units: what recovery alone is worth."""

    name = "random"
    summary = "random heads and FFN units, one-shot"

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """With the setting's recovery."""
        return cls(setting.budget, setting.schedules.recover, "random")


@dataclass(frozen=True)
class Magnitude(OneShot):
    """Units of the largest norm."""

    name = "magnitude"
    summary = "heads and FFN units of smallest norm removed, one-shot"

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """With the setting's recovery."""
        return cls(setting.budget, setting.schedules.recover, "magnitude")


def check_reached(budget: Budget, real: float, tolerance: float = 0.01) -> None:
    """Raise `SuiteError` where `real` is not within `tolerance` of the budget's sparsity."""
    from vtrans.errors import SuiteError

    if abs(real - budget.sparsity) > tolerance:
        raise SuiteError(
            f"sparsity {budget.sparsity} of {budget.counted} is out of reach "
            f"with heads and FFN units alone (closest {real:.3f})",
            "ask for another sparsity or use a method that prunes hidden units",
        )
