"""What the stages train: the task itself, gates under a size constraint, and a student that recovers."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from vtrans.anatomy import anatomy_of
from vtrans.objectives.distillation import Distiller
from vtrans.objectives.task import outputs_and_loss
from vtrans.pruning.constraint import Lagrangian, ramp
from vtrans.pruning.counts import Counts
from vtrans.pruning.gates import GateSet
from vtrans.pruning.masking import Masking, apply_masks
from vtrans.pruning.masks import Masks
from vtrans.pruning.size import Size, removed
from vtrans.settings import Budget, Constraint, GateRates, Schedule

Batch = dict[str, Tensor]
TINY = 1e-15  # Adam's epsilon for predictors: through a gate that is open to 4.5e-5, gradients are around 1e-8
COARSE = ("hidden", "attention_layer", "ffn_layer")


def weight_optimizer(
    modules: dict[str, nn.Module], schedule: Schedule, apart: Iterable[nn.Parameter] = (), rate: float = 0.0
) -> AdamW:
    """AdamW over all parameters that train, weight decay on matrices only.

    Parameters `apart` have the peak rate `rate`, no weight decay, and an epsilon for their tiny gradients.
    """
    special = {id(p): p for p in apart}
    trained = [p for m in modules.values() for p in m.parameters() if p.requires_grad and id(p) not in special]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": schedule.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if special:
        groups.append({"params": list(special.values()), "weight_decay": 0.0, "share": rate / schedule.lr, "eps": TINY})
    return AdamW(groups, lr=schedule.lr, fused=True)


def freeze(model: nn.Module, schedule: Schedule, weights: bool = False) -> None:
    """Mark what trains: everything, less the embedding tables where the schedule says so, or nothing."""
    model.requires_grad_(not weights)
    if not schedule.embeddings:
        for path in anatomy_of(model).embeddings:
            model.get_submodule(path).requires_grad_(False)


def training(model: nn.Module) -> nn.Module:
    """The model, in training mode."""
    model.train()  # whose result a sharded engine leaves out
    return model


class TaskObjective:
    """Plain fine-tuning on the labels: the dense row and teacher."""

    def __init__(self, model: nn.Module) -> None:
        self.modules, self.next_token = {"model": model}, anatomy_of(model).predicts_next_token

    def optimizers(self, schedule: Schedule) -> dict[str, Optimizer]:
        """One for the weights."""
        freeze(self.modules["model"], schedule)
        return {"weights": weight_optimizer(self.modules, schedule)}

    def losses(self, batch: Batch, step: int, total: int) -> dict[str, Tensor]:
        """The loss on the labels."""
        return {"task": outputs_and_loss(training(self.modules["model"]), batch, self.next_token)[1].float()}

    def after_step(self) -> None:
        """Nothing to do."""

    def metrics(self) -> dict[str, float]:
        """Nothing to watch."""
        return {}


class RecoveryObjective(TaskObjective):
    """Distillation of the dense teacher into a materialised student."""

    def __init__(self, model: nn.Module, distiller: Distiller) -> None:
        self.modules = {"model": model, "distiller": distiller}
        self.distiller = distiller

    def losses(self, batch: Batch, step: int, total: int) -> dict[str, Tensor]:
        """Terms of the distillation."""
        return self.distiller.losses(training(self.modules["model"]), batch)


class GatedObjective:
    """What trains a model under masks, which lie over it for the length of a stage."""

    modules: dict[str, nn.Module]
    masking: Masking

    @contextmanager
    def context(self) -> Iterator[None]:
        """Mask the model."""
        model = self.modules["model"]
        with apply_masks(model, Masks.dense(anatomy_of(model))) as self.masking:
            yield


class PruningObjective(GatedObjective):
    """Gates, Lagrange multipliers and (unless frozen) weights, trained together.

    Args:
        model: the student; its parameters are trained in place.
        distiller: teacher and distillation terms.
        gates: the gates to train.
        budget: the size to reach.
        constraint: rates of the Lagrangian.
        rates: learning rates of the gates.
        information: weight of the gates' information cost for each site (beta of the VIB objective).
        noise: `batch`, `sample` or `token`: how often gate noise is drawn anew.
        frozen: whether the weights stay as they are (Faster-VTrans).
        size: of the student in what the budget counts.
        sparsity: expected sparsity of the gates, 0-d and differentiable: what is held to the target.
    """

    def __init__(
        self,
        model: nn.Module,
        distiller: Distiller,
        gates: GateSet,
        budget: Budget,
        constraint: Constraint,
        rates: GateRates,
        information: dict[str, float],
        noise: str,
        frozen: bool,
        size: Size,
        sparsity: Callable[[], Tensor],
    ) -> None:
        self.lagrangian = Lagrangian(constraint).to(gates.device)
        self.modules = {"model": model, "distiller": distiller, "gates": gates, "lagrangian": self.lagrangian}
        self.distiller, self.gates, self.size, self.sparsity = distiller, gates, size, sparsity
        self.budget, self.constraint, self.rates = budget, constraint, rates
        self.information, self.noise, self.frozen = information, noise, frozen
        self._sparsity, self._target, self._total = 0.0, 0.0, 1
        self.begin()

    def begin(self) -> None:
        """Take the gates, as they are before the first step, for what the target rises from."""
        self.gates.anneal(0.0)
        self.origin = self.sparsity().item() if self.constraint.origin == "gates" else 0.0

    def optimizers(self, schedule: Schedule) -> dict[str, Optimizer]:
        """Weights and layer transformation, gates, and the ascending Lagrange multipliers."""
        model, distiller = self.modules["model"], self.modules["distiller"]
        freeze(model, schedule, weights=self.frozen)
        distiller.requires_grad_(not self.frozen)
        optimizers: dict[str, Optimizer] = {}
        if not self.frozen:
            optimizers["weights"] = weight_optimizer({"model": model, "distiller": distiller}, schedule)
        optimizers["gates"] = gate_optimizer(self.gates, self.rates)
        optimizers["lagrangian"] = self.lagrangian.optimizer()
        return optimizers

    def losses(self, batch: Batch, step: int, total: int) -> dict[str, Tensor]:
        """Distillation, size constraint and information cost under freshly drawn gates."""
        self.gates.anneal(self.lagrangian.progress(step, total))
        masks = self.gates.sample(*noise_shape(self.noise, batch["input_ids"].shape))
        self.masking.masks = masks
        terms = self.distiller.losses(training(self.modules["model"]), batch, masks, self.gates.decide)
        sparsity = self.sparsity()
        target = ramp(step, total, self.budget.sparsity, self.constraint.warmup, self.origin)
        terms["constraint"] = self.lagrangian(sparsity, target)
        costs = [self.information.get(s, 0.0) * kl for s, kl in self.gates.penalty().items()]
        terms["information"] = torch.stack(costs).sum()
        self._sparsity, self._target, self._total = float(sparsity.detach()), target, total
        return terms

    def after_step(self) -> None:
        """Bring gates and Lagrange multipliers back into their bounds; sharpen their count where the target is met."""
        if self._target == self.budget.sparsity:
            self.lagrangian.sharpen_(self._target - self._sparsity, self._total)
        self.gates.clamp_()
        self.lagrangian.clamp_()

    def metrics(self) -> dict[str, float]:
        """Expected and real sparsity against the target, and the Lagrange multipliers."""
        real = removed(self.budget, self.size, Counts.of(self.gates.decide()))
        return self.sharpness() | {
            "expected": self._sparsity,
            "real": float(real),
            "target": self._target,
            "lambda1": self.lagrangian.linear.item(),
            "lambda2": self.lagrangian.quadratic.item(),
        }

    def sharpness(self) -> dict[str, float]:
        """How sharp the count has become, from 0 to 1, where that depends on the target being met."""
        found = self.lagrangian.progress(1, 1)
        return {"sharpness": found} if self.constraint.sharpen == "met" else {}


class ScaleObjective(GatedObjective):
    """Only the scales of the kept gates train, with the decision fixed (recovery of Faster-VTrans)."""

    def __init__(
        self, model: nn.Module, distiller: Distiller, gates: GateSet, keep: dict[str, Tensor], rate: float
    ) -> None:
        self.modules = {"model": model, "distiller": distiller, "gates": gates}
        self.distiller, self.gates, self.keep, self.rates = distiller, gates, keep, GateRates(0.0, rate)

    def optimizers(self, schedule: Schedule) -> dict[str, Optimizer]:
        """One for the scales."""
        self.modules["model"].requires_grad_(False)
        self.modules["distiller"].requires_grad_(False)
        return {"gates": gate_optimizer(self.gates, self.rates)}

    def losses(self, batch: Batch, step: int, total: int) -> dict[str, Tensor]:
        """Distillation under the fixed decision, without noise."""
        self.masking.masks = masks = self.gates.fixed(self.keep)
        return self.distiller.losses(training(self.modules["model"]), batch, masks, lambda: masks)

    def after_step(self) -> None:
        """Keep the scales positive."""
        self.gates.clamp_()

    def metrics(self) -> dict[str, float]:
        """Nothing to watch."""
        return {}


def gate_optimizer(gates: GateSet, rates: GateRates) -> Adam:
    """Adam with its own rate for each site's log-odds and one for all scales; constant, as in CoFi."""
    groups = []
    for site in gates:
        for name, parameter in gates[site].named_parameters():
            odds = rates.odds * (rates.coarse if site in COARSE else 1.0)
            rate = rates.scale if name == "scale" else odds
            groups.append({"params": [parameter], "lr": rate})
    return Adam(groups)


def noise_shape(noise: str, shape: torch.Size) -> tuple[int, ...]:
    """Leading dimensions of the gate noise for a batch of `shape` `(batch, length)`."""
    return {"batch": (), "sample": (shape[0], 1), "token": (shape[0], shape[1])}[noise]
