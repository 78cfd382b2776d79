"""A family of sizes from one pruning run: the target rises, and each size is cut out and recovers by itself.

As in ZipLM (Kurtic, Frantar, Alistarh 2023, section 3): at each size the decision is final, so that what is gone has
left the computation when pruning goes on to the next one.
"""

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar, Self

from vtrans import ranks
from vtrans.errors import RunCancelled, RunFailed, SuiteError
from vtrans.forecast import Forecast
from vtrans.methods.base import CompressionState, Stage
from vtrans.methods.stages import LATENCY_BATCH, Materialise, Prune, Recover
from vtrans.methods.vtrans import VTrans
from vtrans.settings import Budget, Schedule, Setting

if TYPE_CHECKING:
    from vtrans.data.examples import Rows
    from vtrans.objectives.base import PruningObjective

SIZES = (0.4, 0.6, 0.8, 0.9, 0.95)
SHARE = 0.5  # of the steps of a single size, in pruning and in recovery
HANDOVER = "handover"  # folder beside a run's checkpoints


@dataclass(frozen=True)
class PruneOn(Prune):
    """Pruning that starts from the handover of the size below, where there is one, and leaves its own."""

    @property
    def name(self) -> str:
        """As of the stage that it stands for."""
        return "prune"

    def run(self, state: CompressionState) -> None:
        """Take over, prune what is still to go, and hand over."""
        from vtrans.pruning.size import Size, amount
        from vtrans.saving.handover import Handover

        now = amount(self.budget, size := Size.of(state.model), size.dense).item()
        dense = now
        if state.handover:
            before = Handover.read(state.handover)
            state.model = before.model.to(next(state.model.parameters()).device)
            state.transform, dense = before.transform, before.dense
            now = amount(self.budget, size := Size.of(state.model), size.dense).item()
        try:
            budget = relative(self.budget, dense, now)
            replace(self, budget=budget, tolerance=self.tolerance * dense / now).prune(state)
        except (RunCancelled, RunFailed):
            raise
        except SuiteError as error:
            why = f"sparsity {self.budget.sparsity} of {self.budget.counted} is out of reach from the size below"
            raise SuiteError(f"{why} (of what that left: {error.parts[0]})", "ask for less") from None
        for name in ("expected_sparsity", "sparsity_at_threshold_0"):
            state.report["pruning"][name] = 1 - (1 - state.report["pruning"][name]) * now / dense
        if state.run_context.folder:
            assert state.gates is not None and state.decision is not None, "pruning has set them"
            found = Handover.of(state.model, state.gates, state.decision, state.transform, dense)
            folder = state.run_context.folder / HANDOVER
            ranks.on_first_rank(lambda: found.write(folder))

    def prune(self, state: CompressionState) -> None:
        """Prune, by a budget that counts from the state's model."""
        super().run(state)

    def objective(self, state: CompressionState) -> "tuple[PruningObjective, Rows]":
        """With the gates as the size below left them."""
        from vtrans.saving.handover import Handover

        objective, rows = super().objective(state)
        if state.handover:
            Handover.read(state.handover).restore(objective.gates)
            objective.begin()
        return objective, rows

    def forecast(self, outlook: Forecast) -> float:
        """Passes of what the size below left, gated, and of the teacher."""
        passes = super().forecast(outlook)
        outlook.decided = (1 - self.budget.sparsity) / outlook.kept
        return passes


def relative(budget: Budget, dense: float, now: float) -> Budget:
    """The budget of a dense model as one of what is left of it.

    Args:
        budget: a share of the dense model.
        dense, now: what the budget counts of the dense model and of what is left.

    Raises:
        SuiteError: it is reached already.
    """
    left = (1 - budget.sparsity) * dense / now
    if left >= 1:
        raise SuiteError(f"the previous size is already as small as sparsity {budget.sparsity}", "give a higher one")
    return replace(budget, sparsity=1 - left)


def refuse_latency(budget: Budget) -> None:
    """Raise `SuiteError` for a budget in milliseconds, which no sum of units is."""
    if budget.quantity in LATENCY_BATCH:
        raise SuiteError("a family of sizes cannot count latency", "count parameters or macs")


def shortened(schedule: Schedule, share: float) -> Schedule:
    """A share of a schedule's steps or epochs."""
    steps = max(1, round(schedule.steps * share)) if schedule.steps else 0
    return replace(schedule, steps=steps, epochs=schedule.epochs * share)


def member_stages(prune: Prune, recover: Recover) -> tuple[Stage, ...]:
    """Stages of one size of a family, from those of a method of one size."""
    going_on = PruneOn(**{f.name: getattr(prune, f.name) for f in fields(prune)})
    return (going_on, Materialise(), recover)


@dataclass(frozen=True)
class VTransFamily(VTrans):
    """One size of a family: VTrans from the next smaller size on, in half of the steps of a size by itself."""

    name = "VTrans-family"
    summary = "VTrans through 40, 60, 80, 90 and 95 % in one pruning run, each size recovered by itself"
    family: ClassVar[tuple[float, ...]] = SIZES

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_latency(self.budget)

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """As VTrans, with shorter schedules."""
        prune, recover = setting.schedules.prune, setting.schedules.recover
        return cls._under(setting, shortened(prune, SHARE), shortened(recover, SHARE))

    def stages(self) -> tuple[Stage, ...]:
        """Prune on, materialise, recover."""
        return member_stages(self._pruning(frozen=False), Recover(self.recover, self.distillation))
