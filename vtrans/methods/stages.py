"""The stages that methods are made of. Fields are hyper-parameters; torch is imported when one runs."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from vtrans import ranks
from vtrans.errors import SuiteError
from vtrans.forecast import FROZEN, TRAINED, Forecast
from vtrans.methods.base import CompressionState, Stage
from vtrans.settings import NOT_IN_KEY, SITES, Budget, Constraint, Distillation, GateRates, Schedule

if TYPE_CHECKING:
    from torch import Tensor

    from vtrans.data.examples import Rows
    from vtrans.objectives.base import PruningObjective
    from vtrans.pruning.gates import Gate, GateSet
    from vtrans.pruning.latency_table import LatencyTable
    from vtrans.pruning.size import Size


class GateMaker(Protocol):
    """Settings of a gate that can build it."""

    @property
    def rates(self) -> GateRates:
        """Learning rates."""
        ...

    @property
    def information(self) -> dict[str, float]:
        """Weight of each site's information cost."""
        ...

    def build(self, site: str, n: int) -> "Gate":
        """A gate vector of `n` units for `site`."""
        ...


@dataclass(frozen=True)
class VariationalGates:
    """Settings of the VIB gates.

    Attributes:
        log_alpha: start of log(mu^2/sigma^2); VIBNet and TVA-prune: 9.
        floor: lower bound of it.
        sharpness: b of the soft count at the end of pruning.
        soft_slope: whether the constraint counts by b and pushes by the slope of b = 1.
        rates: learning rates.
        information: beta of each site's KL; TVA-prune: 1e-6 times 1 (FFN), 64 (heads), 94 (hidden, 32 layers).
    """

    log_alpha: float = 3.0
    floor: float = -5.0
    sharpness: float = 4.0
    rates: GateRates = GateRates(0.05, 0.005, 0.25)
    information: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SITES, 1e-06))
    soft_slope: bool = field(default=False, metadata={NOT_IN_KEY: False})

    def build(self, site: str, n: int) -> "Gate":
        """A variational gate of `n` units."""
        from vtrans.pruning.gates import VariationalGate

        return VariationalGate(n, self.log_alpha, self.floor, sharpness=self.sharpness, soft_slope=self.soft_slope)


@dataclass(frozen=True)
class Finetune(Stage):
    """Train all weights on the labels."""

    schedule: Schedule

    def run(self, state: CompressionState) -> None:
        """Fine-tune `state.model`."""
        from vtrans.objectives.base import TaskObjective

        state.fit(self, TaskObjective(state.model), self.schedule)

    def forecast(self, outlook: Forecast) -> float:
        """Forward and backward passes of the model."""
        return outlook.training(self.schedule)


@dataclass(frozen=True)
class Subset(Stage):
    """Go on with a random share of the training rows, stratified by class, its rows recorded."""

    fraction: float = 0.03

    def run(self, state: CompressionState) -> None:
        """Narrow `state.train`."""
        from vtrans.data.examples import stratified_rows

        rows = stratified_rows(state.train.labels, self.fraction, state.stage_seed)
        state.report["subset"] = {"fraction": self.fraction, "of": len(state.train), "rows": rows}
        state.train = state.train.take(rows)

    def forecast(self, outlook: Forecast) -> float:
        """Fewer rows from here on."""
        outlook.rows = max(1, round(self.fraction * outlook.rows))
        return 0.0


@dataclass(frozen=True)
class Prune(Stage):
    """Train gates, and weights unless `frozen`, under the size constraint; end with a hard decision.

    With `constraint.calibrate` the model's size is within `tolerance` of the budget, else `SuiteError`; without it,
    units whose log-odds are above 0 are kept, whatever size that gives.

    Attributes:
        gates: their kind, start and learning rates.
        schedule, distillation: of the training.
        constraint: how the expected size is held to the budget.
        sites: what has gates, of `vtrans.settings.SITES`.
        noise: whether gates are drawn once per `batch`, `sample` or `token`.
        frozen: whether only gates train.
        tolerance: absolute, in sparsity.
    """

    budget: Budget
    gates: GateMaker
    schedule: Schedule
    distillation: Distillation = Distillation()
    constraint: Constraint = Constraint()
    sites: tuple[str, ...] = SITES
    noise: Literal["batch", "sample", "token"] = "batch"
    frozen: bool = False
    tolerance: float = 0.01

    def __post_init__(self) -> None:
        if self.constraint.sharpen == "met" and getattr(self.gates, "sharpness", 1.0) == 1.0:
            raise SuiteError("sharpen=met is for gates whose count sharpens", "give them a sharpness above 1")

    def run(self, state: CompressionState) -> None:
        """Train, then set `state.gates`, `state.decision` and `state.transform`."""

        objective, rows = self.objective(state)
        with objective.context():
            state.fit(self, objective, self.schedule, rows)
        state.gates, state.transform = objective.gates, objective.distiller.transform.weight.detach()
        self._decide(state, objective)

    def objective(self, state: CompressionState) -> "tuple[PruningObjective, Rows]":
        """What is trained, new gates on the state's model under its teacher, and the rows that it is trained on."""
        import torch

        from vtrans.anatomy import anatomy_of
        from vtrans.methods.distillation_setup import prepare
        from vtrans.objectives.base import PruningObjective
        from vtrans.pruning.constraint import push_by_size
        from vtrans.pruning.gates import GateSet

        torch.manual_seed(state.stage_seed)
        device = state.run_context.engine.device(state.model)
        gates = GateSet(anatomy_of(state.model), self.gates.build, self.sites).to(device)
        size = size_for(state, self.budget)
        if self.constraint.size_exponent < 1:
            gates.push = push_by_size(gates, self.budget, size, self.constraint.size_exponent)
        setup = prepare(state, self, self.distillation, self.schedule)
        objective = PruningObjective(
            model=state.model,
            distiller=setup.distiller,
            gates=gates,
            budget=self.budget,
            constraint=self.constraint,
            rates=self.gates.rates,
            information=self.gates.information,
            noise=self.noise,
            frozen=self.frozen,
            size=size,
            sparsity=lambda: self.expected_sparsity(gates, size),
        )
        return objective, setup.rows

    def expected_sparsity(self, gates: "GateSet", size: "Size") -> "Tensor":
        """What the constraint holds to the target: expected sparsity as the budget counts, 0-d and differentiable."""
        from vtrans.pruning.size import removed

        return removed(self.budget, size, gates.expected())

    def forecast(self, outlook: Forecast) -> float:
        """Passes of the gated model and its teacher."""
        outlook.decide(self.budget)
        return outlook.training(self.schedule, FROZEN if self.frozen else TRAINED, self.distillation)

    def _decide(self, state: CompressionState, objective: "PruningObjective") -> None:
        from vtrans.pruning.calibration import calibrate
        from vtrans.pruning.counts import Counts
        from vtrans.pruning.size import removed

        gates, size = objective.gates, objective.size
        gates.anneal(objective.lagrangian.progress(1, 1))
        state.decision, threshold = gates.decide(), 0.0
        if self.constraint.calibrate:
            which = self.constraint.threshold
            state.decision, threshold = calibrate(gates, size, self.budget, self.tolerance, which)
        state.report["pruning"] = {
            "expected_sparsity": removed(self.budget, size, gates.expected()).item(),
            "sparsity_at_threshold_0": float(removed(self.budget, size, Counts.of(gates.decide()))),
            "threshold": threshold,
            "lambda1": objective.lagrangian.linear.item(),
            "lambda2": objective.lagrangian.quadratic.item(),
            "kept": state.decision.kept(),
            "heads_kept": state.decision.heads_kept(),
        } | objective.sharpness()


@dataclass(frozen=True)
class RoundWidths(Stage):
    """Round the hidden width and each layer's FFN to the nearest multiple, ties up, by the order of the gates.

    The post-adapt of TVA-prune (section 2.4), for hardware that likes multiples of 8 to 128. The size then misses
    its budget by what rounding adds or takes. Heads are not rounded.
    """

    multiple: int

    def run(self, state: CompressionState) -> None:
        """Change `state.decision`."""
        from vtrans.pruning.rounding import round_widths

        assert state.gates is not None and state.decision is not None, "RoundWidths follows Prune"
        state.decision = round_widths(state.gates, state.decision, self.multiple)
        state.report["rounded_to"] = self.multiple
        state.report["pruning"]["kept"] = state.decision.kept()


@dataclass(frozen=True)
class TuneScales(Stage):
    """Train the scales of the kept gates alone: the fine-tuning phase of Faster-VTrans, weights frozen."""

    schedule: Schedule
    distillation: Distillation = Distillation()
    rate: float = 0.01

    def run(self, state: CompressionState) -> None:
        """Update `state.decision` with the trained scales."""
        from vtrans.methods.distillation_setup import prepare
        from vtrans.objectives.base import ScaleObjective

        assert state.gates is not None and state.decision is not None, "TuneScales follows Prune"
        keep = state.gates.kept_by(state.decision)
        setup = prepare(state, self, self.distillation, self.schedule)
        objective = ScaleObjective(state.model, setup.distiller, state.gates, keep, self.rate)
        with objective.context():
            state.fit(self, objective, self.schedule, setup.rows)
        state.decision = state.gates.fixed(keep)

    def forecast(self, outlook: Forecast) -> float:
        """Passes of the gated model, frozen, and its teacher."""
        return outlook.training(self.schedule, FROZEN, self.distillation)


@dataclass(frozen=True)
class Materialise(Stage):
    """Cut the pruned units out."""

    def run(self, state: CompressionState) -> None:
        """Replace `state.model` by the smaller one."""
        from vtrans.methods.files import cut
        from vtrans.pruning.surgery import materialise

        assert state.decision is not None, "Materialise follows a decision"
        survivors = state.decision.hidden.detach() != 0
        in_files = state.run_context.engine.frozen_backbone
        state.model = cut(state) if in_files else materialise(state.model, state.decision)
        if state.transform is not None:
            state.transform = state.transform[:, survivors.to(state.transform.device)]

    def forecast(self, outlook: Forecast) -> float:
        """A smaller model from here on."""
        outlook.materialise()
        return 0.0


@dataclass(frozen=True)
class Recover(Stage):
    """Train the materialised model on the teacher's outputs."""

    schedule: Schedule
    distillation: Distillation = Distillation()

    def run(self, state: CompressionState) -> None:
        """Fine-tune `state.model` by distillation."""
        from vtrans.methods.distillation_setup import prepare
        from vtrans.objectives.base import RecoveryObjective

        setup = prepare(state, self, self.distillation, self.schedule)
        state.fit(self, RecoveryObjective(state.model, setup.distiller), self.schedule, setup.rows)
        state.transform = setup.distiller.transform.weight.detach()

    def forecast(self, outlook: Forecast) -> float:
        """Passes of the smaller model and its teacher."""
        return outlook.training(self.schedule, TRAINED, self.distillation)


LATENCY_BATCH = {"latency": 32, "latency-b1": 1}


def size_for(state: CompressionState, budget: Budget) -> "Size":
    """Size of the state's model in what a budget counts; of latency, by a table measured here and kept with the run."""
    from dataclasses import replace

    from vtrans.pruning.size import Size

    size = Size.of(state.model)
    if budget.quantity not in LATENCY_BATCH:
        return size
    table = ranks.on_first_rank(lambda: _latency_table(state, budget))
    state.report["latency_table"] = table.summary()
    check_reach(table, size, budget)
    return replace(size, latency=table)


def _latency_table(state: CompressionState, budget: Budget) -> "LatencyTable":
    from vtrans.pruning.latency_table import LatencyTable, measure_table

    path = state.run_context.folder / "latency.json" if state.run_context.folder else None
    if path and path.exists():
        return LatencyTable.read(path)
    table = measure_table(state.model, LATENCY_BATCH[budget.quantity], budget.length)
    if path:
        table.write(path)
    return table


def check_reach(table: "LatencyTable", size: "Size", budget: Budget) -> None:
    """Raise `SuiteError` where even a model without layers, at the smallest width measured, takes too long."""
    most = 1 - table.stem[0] / float(table.milliseconds(size.dense))
    if budget.sparsity >= most:
        raise SuiteError(
            f"sparsity {budget.sparsity} of {budget.counted} is out of reach: without any layer it is {most:.2f}",
            "ask for less",
        )
