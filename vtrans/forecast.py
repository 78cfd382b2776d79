"""What a method will compute, known before it runs: in forward passes of the dense model over one sequence."""

from dataclasses import dataclass

from vtrans.settings import Budget, Distillation, Schedule

TRAINED, FROZEN = 3.0, 2.0  # passes per sequence: forward, and backward to weights and activations, or to the latter


@dataclass
class Forecast:
    """The state of a run that stages change as they would on the way.

    Attributes:
        rows: training rows.
        kept: share of the dense model's MACs that the model computes.
        decided: share that is left once the decision at hand is materialised.
    """

    rows: int
    kept: float = 1.0
    decided: float = 1.0

    def training(self, schedule: Schedule, student: float = TRAINED, distillation: Distillation | None = None) -> float:
        """Passes of a training stage; a teacher adds one per row that is drawn, however often: its outputs are kept."""
        drawn = self.drawn(schedule)
        taught = min(drawn, self.rows) if distillation and distillation.needs_teacher else 0
        return drawn * student * self.kept + taught

    def drawn(self, schedule: Schedule) -> float:
        """Rows that a training stage draws."""
        return schedule.total(self.rows) * schedule.batch

    def decide(self, budget: Budget) -> None:
        """A decision that meets a budget, whatever it counts."""
        self.decided = 1 - budget.sparsity

    def materialise(self) -> None:
        """Cut the model to the decision."""
        self.kept *= self.decided
        self.decided = 1.0
