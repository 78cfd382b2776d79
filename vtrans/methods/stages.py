"""The stages that methods are made of. Fields are hyper-parameters; torch is imported when one runs."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from vtrans.errors import SuiteError
from vtrans.forecast import FROZEN, TRAINED, Forecast
from vtrans.methods.base import Job, Stage
from vtrans.settings import SITES, Budget, Constraint, Distillation, GateRates, Schedule

if TYPE_CHECKING:
    from vtrans.objectives.base import PruningObjective
    from vtrans.objectives.distillation import Distiller
    from vtrans.pruning.gates import Gate
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
        rates: learning rates.
        information: beta of each site's KL; TVA-prune: 1e-6 times 1 (FFN), 64 (heads), 94 (hidden, 32 layers).
    """

    log_alpha: float = 3.0
    floor: float = -5.0
    sharpness: float = 4.0
    rates: GateRates = GateRates(0.05, 0.005, 0.25)
    information: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SITES, 1e-06))

    def build(self, site: str, n: int) -> "Gate":
        """A variational gate of `n` units."""
        from vtrans.pruning.gates import VariationalGate

        return VariationalGate(n, self.log_alpha, self.floor, sharpness=self.sharpness)


@dataclass(frozen=True)
class Finetune(Stage):
    """Train all weights on the labels."""

    schedule: Schedule

    def run(self, job: Job) -> None:
        """Fine-tune `job.model`."""
        from vtrans.objectives.base import TaskObjective
        from vtrans.training.loop import fit

        fit(TaskObjective(job.model), job.train, self.schedule, job.stage_seed, job.label(self), job.desk)

    def forecast(self, state: Forecast) -> float:
        """Forward and backward passes of the model."""
        return state.training(self.schedule)


@dataclass(frozen=True)
class Subset(Stage):
    """Go on with a random share of the training rows, stratified by class, its rows recorded."""

    fraction: float = 0.03

    def run(self, job: Job) -> None:
        """Narrow `job.train`."""
        from vtrans.data.examples import stratified_rows

        rows = stratified_rows(job.train.labels, self.fraction, job.stage_seed)
        job.report["subset"] = {"fraction": self.fraction, "of": len(job.train), "rows": rows}
        job.train = job.train.take(rows)

    def forecast(self, state: Forecast) -> float:
        """Fewer rows from here on."""
        state.rows = max(1, round(self.fraction * state.rows))
        return 0.0


@dataclass(frozen=True)
class Prune(Stage):
    """Train gates, and weights unless `frozen`, under the size constraint; end with a hard decision."""

    budget: Budget
    gates: GateMaker
    schedule: Schedule
    distillation: Distillation = Distillation()
    constraint: Constraint = Constraint()
    sites: tuple[str, ...] = SITES
    noise: Literal["batch", "sample", "token"] = "batch"
    frozen: bool = False

    def run(self, job: Job) -> None:
        """Train, then set `job.gates`, `job.decision` and `job.transform`."""
        from vtrans.training.loop import fit

        objective = self.objective(job)
        with objective.context():
            fit(objective, job.train, self.schedule, job.stage_seed, job.label(self), job.desk)
        job.gates, job.transform = objective.gates, objective.distiller.transform.weight.detach()
        self._decide(job, objective)

    def objective(self, job: Job) -> "PruningObjective":
        """What is trained: new gates on the job's model, under its teacher."""
        import torch

        from vtrans.anatomy import anatomy_of
        from vtrans.objectives.base import PruningObjective
        from vtrans.pruning.gates import GateSet

        torch.manual_seed(job.stage_seed)
        device = job.desk.engine.device(job.model)
        gates = GateSet(anatomy_of(job.model), self.gates.build, self.sites).to(device)
        return PruningObjective(
            model=job.model,
            distiller=make_distiller(job, self.distillation, self.schedule),
            gates=gates,
            budget=self.budget,
            constraint=self.constraint,
            rates=self.gates.rates,
            information=self.gates.information,
            noise=self.noise,
            frozen=self.frozen,
            size=size_for(job, self.budget),
        )

    def forecast(self, state: Forecast) -> float:
        """Passes of the gated model and its teacher."""
        state.decide(self.budget)
        return state.training(self.schedule, FROZEN if self.frozen else TRAINED, self.distillation)

    def _decide(self, job: Job, objective: "PruningObjective") -> None:
        from vtrans.pruning.constraint import calibrate
        from vtrans.pruning.counts import Counts
        from vtrans.pruning.size import removed

        gates, size = objective.gates, objective.size
        gates.anneal(1.0)
        exact = self.constraint.calibrate
        job.decision, threshold = calibrate(gates, size, self.budget) if exact else (gates.decide(), 0.0)
        job.report["pruning"] = {
            "expected_sparsity": removed(self.budget, size, gates.expected()).item(),
            "sparsity_at_threshold_0": float(removed(self.budget, size, Counts.of(gates.decide()))),
            "threshold": threshold,
            "lambda1": objective.lagrangian.linear.item(),
            "lambda2": objective.lagrangian.quadratic.item(),
            "kept": job.decision.kept(),
            "heads_kept": job.decision.heads_kept(),
        }


@dataclass(frozen=True)
class RoundWidths(Stage):
    """Round the hidden width and each layer's FFN to the nearest multiple, ties up, by the order of the gates.

    The post-adapt of TVA-prune (section 2.4), for hardware that likes multiples of 8 to 128. The size then misses
    its budget by what rounding adds or takes. Heads are not rounded.
    """

    multiple: int

    def run(self, job: Job) -> None:
        """Change `job.decision`."""
        from vtrans.pruning.rounding import round_widths

        assert job.gates is not None and job.decision is not None, "RoundWidths follows Prune"
        job.decision = round_widths(job.gates, job.decision, self.multiple)
        job.report["rounded_to"] = self.multiple
        job.report["pruning"]["kept"] = job.decision.kept()


@dataclass(frozen=True)
class TuneScales(Stage):
    """Train the scales of the kept gates alone: the fine-tuning phase of Faster-VTrans, weights frozen."""

    schedule: Schedule
    distillation: Distillation = Distillation()
    rate: float = 0.01

    def run(self, job: Job) -> None:
        """Update `job.decision` with the trained scales."""
        from vtrans.objectives.base import ScaleObjective
        from vtrans.training.loop import fit

        assert job.gates is not None and job.decision is not None, "TuneScales follows Prune"
        keep = job.gates.kept_by(job.decision)
        distiller = make_distiller(job, self.distillation, self.schedule)
        objective = ScaleObjective(job.model, distiller, job.gates, keep, self.rate)
        with objective.context():
            fit(objective, job.train, self.schedule, job.stage_seed, job.label(self), job.desk)
        job.decision = job.gates.fixed(keep)

    def forecast(self, state: Forecast) -> float:
        """Passes of the gated model, frozen, and its teacher."""
        return state.training(self.schedule, FROZEN, self.distillation)


@dataclass(frozen=True)
class Materialise(Stage):
    """Cut the pruned units out."""

    def run(self, job: Job) -> None:
        """Replace `job.model` by the smaller one."""
        from vtrans.pruning.surgery import materialise

        assert job.decision is not None, "Materialise follows a decision"
        survivors = job.decision.hidden.detach() != 0
        job.model = materialise(job.model, job.decision)
        if job.transform is not None:
            job.transform = job.transform[:, survivors.to(job.transform.device)]

    def forecast(self, state: Forecast) -> float:
        """A smaller model from here on."""
        state.materialise()
        return 0.0


@dataclass(frozen=True)
class Recover(Stage):
    """Train the materialised model on the teacher's outputs."""

    schedule: Schedule
    distillation: Distillation = Distillation()

    def run(self, job: Job) -> None:
        """Fine-tune `job.model` by distillation."""
        from vtrans.objectives.base import RecoveryObjective
        from vtrans.training.loop import fit

        distiller = make_distiller(job, self.distillation, self.schedule)
        objective = RecoveryObjective(job.model, distiller)
        fit(objective, job.train, self.schedule, job.stage_seed, job.label(self), job.desk)
        job.transform = distiller.transform.weight.detach()

    def forecast(self, state: Forecast) -> float:
        """Passes of the smaller model and its teacher."""
        return state.training(self.schedule, TRAINED, self.distillation)


LATENCY_BATCH = {"latency": 32, "latency-b1": 1}


def size_for(job: Job, budget: Budget) -> "Size":
    """Size of the job's model in what a budget counts; of latency, by a table measured here and kept with the run."""
    from dataclasses import replace

    from vtrans.pruning.latency_table import LatencyTable, measure_table
    from vtrans.pruning.size import Size

    size = Size.of(job.model)
    if budget.quantity not in LATENCY_BATCH:
        return size
    path = job.desk.folder / "latency.json" if job.desk.folder else None
    if path and path.exists():
        table = LatencyTable.read(path)
    else:
        table = measure_table(job.model, LATENCY_BATCH[budget.quantity], budget.length)
        if path:
            table.write(path)
    job.report["latency_table"] = table.summary()
    check_reach(table, size, budget)
    return replace(size, latency=table)


def check_reach(table: "LatencyTable", size: "Size", budget: Budget) -> None:
    """Raise `SuiteError` where even a model without layers, at the smallest width measured, takes too long."""
    most = 1 - table.stem[0] / float(table.milliseconds(size.dense))
    if budget.sparsity >= most:
        raise SuiteError(
            f"sparsity {budget.sparsity} of {budget.counted} is out of reach: without any layer it is {most:.2f}",
            "ask for less",
        )


def make_distiller(job: Job, settings: Distillation, schedule: Schedule) -> "Distiller":
    """A distiller that goes on from the weight of the job's layer transformation, its bias at 0.

    The teacher runs in the training precision. Without a transformation so far, one is started that matches
    the surviving hidden units.
    """
    import copy

    import torch

    from vtrans.objectives.distillation import Distiller
    from vtrans.training.precision import resolve

    transform, device = job.transform, job.desk.engine.device(job.model)
    if transform is None and job.decision is not None:
        kept = (job.decision.hidden.detach() != 0).nonzero().flatten()
        transform = torch.eye(len(job.decision.hidden), device=kept.device)[:, kept]
    teacher = job.teacher
    if settings.prediction or settings.layer:  # else it is never run
        teacher = copy.deepcopy(teacher)
        if resolve(schedule.precision, device) == "bf16":
            teacher = teacher.bfloat16()
    return Distiller(teacher, job.model, settings, transform).to(device)
