"""Rows that show whether a method does anything: units chosen without training, then the same recovery."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from vtrans.forecast import Forecast
from vtrans.method import Job, Method, Stage
from vtrans.settings import Budget, Distillation, Schedule
from vtrans.stages import Materialise, Recover

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from vtrans.anatomy import Anatomy
    from vtrans.anatomy.base import Block
    from vtrans.multipliers import Multipliers


@dataclass(frozen=True)
class Choose(Stage):
    """Keep the heads and FFN units with the highest score, the same share in each layer.

    Attributes:
        budget: size to reach.
        score: `random`, or `magnitude`: the Euclidean norm of all weights of a unit.
    """

    budget: Budget
    score: Literal["random", "magnitude"]

    def run(self, job: Job) -> None:
        """Set `job.decision`."""
        import torch

        from vtrans.anatomy import anatomy_of
        from vtrans.constraint import bisect
        from vtrans.size import Counts, removed
        from vtrans.stages import size_for

        anatomy, size = anatomy_of(job.model), size_for(job, self.budget)
        generator = torch.Generator().manual_seed(job.stage_seed)
        heads, ffn = unit_scores(job.model, anatomy, self.score, generator)

        share = 1 - self.budget.sparsity

        def choose(removed_ffn: float) -> "Multipliers":
            """Keep the best units of each layer."""
            return keep_share(anatomy, heads, ffn, share, 1 - removed_ffn)

        def real(removed_ffn: float) -> float:
            """Sparsity that is reached."""
            return float(removed(self.budget, size, Counts.of(choose(removed_ffn))))

        # Heads are coarse: their share is that of the budget, rounded, and FFN units make up the difference.
        best = bisect(real, self.budget.sparsity, 0.0, 1.0)
        check_reached(self.budget, real(best))
        job.decision = choose(best)
        job.report["pruning"] = {"kept": job.decision.kept()}

    def forecast(self, state: Forecast) -> float:
        """A decision without training."""
        state.decide(self.budget)
        return 0.0


@dataclass(frozen=True)
class OneShot(Method):
    """Choose units once, cut them out, recover by distillation."""

    budget: Budget
    recover: Schedule
    score: Literal["random", "magnitude"]
    distillation: Distillation = Distillation()

    def stages(self) -> tuple[Stage, ...]:
        """Choose, materialise, recover."""
        return (Choose(self.budget, self.score), Materialise(), Recover(self.recover, self.distillation))


def check_reached(budget: Budget, real: float, tolerance: float = 0.01) -> None:
    """Raise `SuiteError` where `real` is not within `tolerance` of the budget's sparsity."""
    from vtrans.errors import SuiteError

    if abs(real - budget.sparsity) > tolerance:
        raise SuiteError(
            f"sparsity {budget.sparsity} of {budget.denominator} {budget.quantity} is out of reach "
            f"with heads and FFN units alone (closest {real:.3f})",
            "ask for another sparsity or use a method that prunes hidden units",
        )


def unit_scores(
    model: Any, anatomy: "Anatomy", score: str, generator: "Generator | None"
) -> tuple[list["Tensor"], list["Tensor"]]:
    """Scores of the heads and of the FFN units of each layer, empty where a sub-layer is gone."""
    import torch

    if score == "random":
        heads, ffn = ([torch.rand(n, generator=generator) for n in counts] for counts in (anatomy.heads, anatomy.ffn))
        return heads, ffn
    blocks = anatomy.blocks
    heads = [_head_norms(model, b) if b.heads else torch.zeros(0) for b in blocks]
    ffn = [_norms(model, b.up, b.down, b.ffn) if b.ffn else torch.zeros(0) for b in blocks]
    return heads, ffn


def _head_norms(model: Any, block: "Block") -> "Tensor":
    """As `_norms`, for heads; a fused projection holds queries, keys and values one after the other."""
    inputs = tuple(dict.fromkeys((block.query, block.key, block.value)))
    return _norms(model, inputs, block.out, block.heads, parts=3 if block.fused else 1)


def _norms(model: Any, into: tuple[str, ...], out: str, units: int, parts: int = 1) -> "Tensor":
    """Squared norm of what leads into each unit and out of it, `(units,)`."""
    rows = [_weight(model, path).square().sum(1).view(parts, units, -1).sum((0, 2)) for path in into]
    columns = _weight(model, out).square().sum(0).view(units, -1).sum(1)
    return sum(rows, columns).cpu()


def _weight(model: Any, path: str) -> "Tensor":
    """Weight of a Linear, or of a Conv1D as if it were one, `(outputs, inputs)`."""
    from vtrans.surgery import shape_of

    module = model.get_submodule(path)
    weight = module.weight.detach()
    return weight if hasattr(module, "in_features") else weight.view(shape_of(module)).T


def keep_share(
    anatomy: "Anatomy", heads: list["Tensor"], ffn: list["Tensor"], of_heads: float, of_ffn: float
) -> "Multipliers":
    """Keep the given shares of each layer's heads and FFN units, the highest scores first, at least one of each."""
    import torch

    from vtrans.multipliers import Multipliers

    ones = [torch.ones(())] * len(anatomy.blocks)
    kept_heads, kept_ffn = [_top(s, of_heads) for s in heads], [_top(s, of_ffn) for s in ffn]
    return Multipliers.of(torch.ones(anatomy.hidden), kept_heads, kept_ffn, ones, ones)


def _top(scores: "Tensor", share: float) -> "Tensor":
    import torch

    kept = torch.zeros(len(scores))
    if len(scores):
        kept[scores.topk(max(1, round(share * len(scores)))).indices] = 1.0
    return kept
