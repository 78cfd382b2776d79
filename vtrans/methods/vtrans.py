"""VTrans, Fast-VTrans and Faster-VTrans (Dutta, Gupta, Agarwal 2024, arXiv 2406.05276)."""

from dataclasses import dataclass

from vtrans.methods.base import Method, Stage
from vtrans.methods.stages import Materialise, Prune, Recover, Subset, TuneScales, VariationalGates
from vtrans.settings import SITES, Budget, Constraint, Distillation, Schedule


@dataclass(frozen=True)
class VTrans(Method):
    """All training data; gates and weights trained together, then recovery of the smaller model.

    Attributes:
        budget: size to reach.
        prune, recover: schedules of the two schedules.
        gates: settings of the variational gates.
        distillation: eta L_pred + (1 - eta) L_layer (section 4.2).
        constraint: the Lagrangian.
        sites: gated sites. The paper's figure draws one layer mask; the two sub-layers are gated apart by
            default, as in CoFi. Leave out `hidden` to leave the embeddings as they are.
        noise: how often gate noise is drawn: `batch`, `sample` (VIBNet) or `token` (TVA-prune).
    """

    budget: Budget
    prune: Schedule
    recover: Schedule
    gates: VariationalGates = VariationalGates()
    distillation: Distillation = Distillation()
    constraint: Constraint = Constraint()
    sites: tuple[str, ...] = SITES
    noise: str = "sample"

    def stages(self) -> tuple[Stage, ...]:
        """Prune, materialise, recover."""
        return (self._pruning(frozen=False), Materialise(), Recover(self.recover, self.distillation))

    def _pruning(self, frozen: bool) -> Prune:
        return Prune(
            budget=self.budget,
            gates=self.gates,
            schedule=self.prune,
            distillation=self.distillation,
            constraint=self.constraint,
            sites=self.sites,
            noise=self.noise,  # type: ignore[arg-type]
            frozen=frozen,
        )


@dataclass(frozen=True)
class FastVTrans(VTrans):
    """VTrans on a random 3 % of the training data, in both schedules."""

    fraction: float = 0.03

    def stages(self) -> tuple[Stage, ...]:
        """Draw the subset, then as VTrans."""
        return (Subset(self.fraction), *super().stages())


@dataclass(frozen=True)
class FasterVTrans(VTrans):
    """Only the gates train, on a random 3 % of the data, in both schedules; weights stay as they are."""

    fraction: float = 0.03
    scale_rate: float = 0.01

    def stages(self) -> tuple[Stage, ...]:
        """Draw the subset, train all gates, train the scales of the kept ones, materialise."""
        tune = TuneScales(self.recover, self.distillation, self.scale_rate)
        return (Subset(self.fraction), self._pruning(frozen=True), tune, Materialise())
