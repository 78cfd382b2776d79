"""CoFi: structured pruning with coarse and fine hard-concrete masks (Xia, Zhong, Chen 2022, ACL)."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from vtrans.errors import SuiteError
from vtrans.methods.base import Method, Stage
from vtrans.methods.family import SHARE, SIZES, member_stages, refuse_latency, shortened
from vtrans.methods.stages import Materialise, Prune, Recover
from vtrans.settings import (
    SITES,
    Budget,
    Constraint,
    Distillation,
    GateRates,
    Schedule,
    Setting,
    check_choices,
    check_sites,
)

if TYPE_CHECKING:
    from torch import Tensor

    from vtrans.pruning.gates import Gate, GateSet
    from vtrans.pruning.size import Size

Fidelity = Literal["corrected", "official"]
SMALL_TASKS = ("cola", "stsb", "mrpc", "rte", "wnli")  # trained for 100 epochs, 20 of them warm-up


@dataclass(frozen=True)
class HardConcreteGates:
    """Settings of CoFi's gates.

    Attributes:
        rates: learning rate of log alpha (script: 0.01, argument default: 0.1).
        mean: start of log alpha at all sites but `ffn`; the first clamp brings 10 to 4.6.
        ffn_mean: start at `ffn`. CoFi's 0 halves the FFN activations the moment pruning starts.
        information: none; these gates carry no information cost.
    """

    rates: GateRates = GateRates(0.01)
    mean: float = 10.0
    ffn_mean: float = 0.0
    information: dict[str, float] = field(default_factory=dict)

    def build(self, site: str, n: int) -> "Gate":
        """A hard-concrete gate of `n` units."""
        from baselines.parts.hard_concrete import HardConcreteGate

        return HardConcreteGate(n, self.ffn_mean if site == "ffn" else self.mean)


@dataclass(frozen=True)
class OfficialPrune(Prune):
    """Pruning under the size that CoFi's code counts: products of Linear weights, norms left out."""

    @property
    def name(self) -> str:
        """As of the stage that it stands for."""
        return "prune"

    def expected_sparsity(self, gates: "GateSet", size: "Size") -> "Tensor":
        """The official one."""
        return official_sparsity(gates, size)


@dataclass(frozen=True)
class CoFi(Method):
    """Masks on hidden units, heads, FFN units and whole sub-layers under an L0 Lagrangian, with distillation.

    Differs from the official code, which multiplies hidden masks before and after norms (here: in them, so that what
    is materialised equals what was trained), counts padding in its layer loss, freezes the embeddings' norm, clips by
    a norm that includes embeddings that do not train, keeps the checkpoint that is best on validation, and starts the
    student from the pre-trained model (here: from the fine-tuned teacher). In training, norms there run over the
    hidden units that were not drawn at 0; here over as many as the gates expect to keep, by their log alpha. At the
    start all are alike, and the first of 384 is left out. Its example script matches layers by v4 at 0.9 to 0.1.

    Attributes:
        budget: size to reach.
        prune, recover: schedules of the two phases.
        gates: settings of the hard-concrete gates.
        distillation: logits at temperature 2 and layers by `argmin` (v3); no hard labels.
        constraint: the Lagrangian (script: rate 0.01, 2 of 20 epochs of warm-up, unbounded).
        sites: gated sites.
        fidelity: `official` constrains the size that the official code counts; `corrected` the exact one.
    """

    name = "CoFi"
    summary = "hard-concrete masks at five sites, layer distillation"
    sized = True

    budget: Budget
    prune: Schedule
    recover: Schedule
    gates: HardConcreteGates = HardConcreteGates()
    distillation: Distillation = Distillation(match="argmin")
    constraint: Constraint = Constraint(rate=0.01, quadratic=0.0, warmup=0.1)
    sites: tuple[str, ...] = SITES
    fidelity: Fidelity = "corrected"

    def __post_init__(self) -> None:
        check_sites(self.sites)
        check_choices(self)

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """As published; where stages take a few hundred steps, with gates that move fast enough to get anywhere."""
        method = cls(setting.budget, setting.schedules.prune, setting.schedules.recover)
        if setting.short:
            # Under `quick` by the distillation loss at the end of recovery: 0.052 against 0.061 (one seed, no record).
            rates = GateRates(0.1 if setting.scale == "quick" else 0.05, coarse=0.25)
            return replace(method, gates=HardConcreteGates(rates), constraint=Constraint())
        few = setting.scale == "paper" and setting.task in SMALL_TASKS
        return replace(method, constraint=replace(method.constraint, warmup=0.2 if few else 0.1))

    def target(self) -> Budget:
        """The budget."""
        return self.budget

    def stages(self) -> tuple[Stage, ...]:
        """Prune, materialise, recover."""
        return (self._pruning(), Materialise(), Recover(self.recover, self.distillation))

    def _pruning(self) -> Prune:
        stage = OfficialPrune if self.fidelity == "official" else Prune
        return stage(
            budget=self.budget,
            gates=self.gates,
            schedule=self.prune,
            distillation=self.distillation,
            constraint=self.constraint,
            sites=self.sites,
        )


@dataclass(frozen=True)
class CoFiFamily(CoFi):
    """One size of a family: CoFi from the next smaller size on, in half of the steps of a size by itself."""

    name = "CoFi-family"
    summary = "CoFi through 40, 60, 80, 90 and 95 % in one pruning run, each size recovered by itself"
    family: ClassVar[tuple[float, ...]] = SIZES

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_latency(self.budget)
        if self.fidelity == "official":
            raise SuiteError(
                "the size that CoFi's code counts is of a whole model", "leave a family's fidelity corrected"
            )

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """As CoFi, with shorter schedules."""
        method = super().build(setting)
        return replace(method, prune=shortened(method.prune, SHARE), recover=shortened(method.recover, SHARE))

    def stages(self) -> tuple[Stage, ...]:
        """Prune on, materialise, recover."""
        return member_stages(self._pruning(), Recover(self.recover, self.distillation))


@dataclass(frozen=True)
class CoFiLayersTotal(CoFi):
    """CoFi to a share of all parameters, with embeddings and hidden units left whole."""

    name = "CoFi-layers-total"
    summary = "CoFi to a share of all parameters, embeddings left whole"

    sites: tuple[str, ...] = tuple(site for site in SITES if site != "hidden")

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """As CoFi, the budget in all parameters."""
        return super().build(replace(setting, budget=replace(setting.budget, denominator="all")))


def official_sparsity(gates: "GateSet", size: "Size") -> "Tensor":
    """1 - E[size] / prunable size as the official code counts them, 0-d.

    E[size] is a sum of outer products with (4 d^2 + 4 d) / heads parameters per head, spread over the d
    hidden units, and 2 per pair of a hidden and an FFN unit: with all gates open 0.00054 for BERT-base, not 0.
    """
    n, dense = gates.expected(), size.dense
    hidden, heads = float(dense.hidden), float(dense.heads[0])
    per_head = (4 * hidden**2 + 4 * hidden) // heads / hidden
    expected = n.hidden * (n.heads.sum() * per_head + n.ffn.sum() * 2)
    return 1 - expected / float(size.linear_parameters(dense))
