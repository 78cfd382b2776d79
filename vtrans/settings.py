"""Hyper-parameters shared by the methods, as frozen dataclasses that need no torch.

They are part of a run's key, so a field that cannot change a result does not belong here.
"""

from dataclasses import dataclass
from typing import Literal

from vtrans.errors import SuiteError

SITES = ("hidden", "heads", "ffn", "attention_layer", "ffn_layer")
QUANTITIES = ("parameters", "macs", "latency", "latency-b1")
DENOMINATORS = ("encoder", "all")
Precision = Literal["auto", "bf16", "fp16", "fp32"]
PRECISIONS = ("auto", "bf16", "fp16", "fp32")


@dataclass(frozen=True)
class Schedule:
    """How long and how fast one stage trains.

    Attributes:
        epochs: passes over the data; used where `steps` is 0.
        steps: optimiser steps.
        batch: sequences an optimiser step.
        accumulate: parts that a batch is computed in, one after the other.
        lr: peak learning rate of the weights.
        decay: `linear` to 0, or `constant`.
        warmup: share of the steps with a linearly rising rate.
        weight_decay: decoupled, on matrices only.
        clip: bound on the gradient norm of the weights.
        embeddings: whether the embedding tables are trained.
        precision: `bf16` or `fp16` autocast, or `fp32`; `auto` is bf16 on a device with units for it, else fp32.
    """

    epochs: float = 0.0
    steps: int = 0
    batch: int = 32
    accumulate: int = 1
    lr: float = 2e-5
    decay: Literal["linear", "constant"] = "linear"
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip: float = 1.0
    embeddings: bool = False
    precision: Precision = "auto"

    def total(self, rows: int) -> int:
        """Optimiser steps on `rows` rows; at least one."""
        return self.steps or max(1, round(self.epochs * rows / self.batch))

    def lr_factor(self, step: int, total: int) -> float:
        """Share of the peak rate at `step` of `total`."""
        rise = round(self.warmup * total)
        if step < rise:
            return (step + 1) / rise
        return 1.0 if self.decay == "constant" else (total - step) / max(1, total - rise)


@dataclass(frozen=True)
class Distillation:
    """`prediction` * L_pred + `layer` * L_layer + `task` * L_task (VTrans section 4.2: eta, 1 - eta, 0).

    L_pred is T^2 KL(teacher || student) of the logits (mean squared error for regression). L_layer sums,
    over teacher layers, the mean squared error between a teacher's hidden state and the linearly
    transformed hidden state of the student's layer that `match` pairs it with.

    Attributes:
        match: `same` index (CoFi v2); `argmin`, the closest student layer (v3); `ordered`, the closest
            one below the layer matched before (v4); `random`, one teacher layer of each part drawn
            anew each step and matched by `argmin` (v6).
        layers: teacher layers counted from 1; by default the last of each of four equal parts (three
            where four do not divide the depth): 3, 6, 9, 12 of 12.
    """

    prediction: float = 0.5
    layer: float = 0.5
    task: float = 0.0
    temperature: float = 2.0
    match: Literal["same", "argmin", "ordered", "random"] = "same"
    layers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Budget:
    """The size that a run is to reach.

    Attributes:
        sparsity: share to be removed, in (0, 1).
        quantity: `parameters`, `macs`, or measured `latency` at batch 32, `latency-b1` at batch 1, on the device.
        denominator: `encoder` (no embeddings, pooler, head) or `all`; latency is always that of all.
        length: tokens of the sequence that MACs are counted and latency is measured for.
    """

    sparsity: float
    quantity: Literal["parameters", "macs", "latency", "latency-b1"] = "parameters"
    denominator: Literal["encoder", "all"] = "encoder"
    length: int = 128

    @property
    def counted(self) -> str:
        """What the sparsity is a share of: latency knows no denominator."""
        return self.quantity if self.quantity.startswith("latency") else f"{self.denominator} {self.quantity}"

    def __post_init__(self) -> None:
        if not 0 < self.sparsity < 1:
            raise SuiteError(f"sparsity {self.sparsity} is outside (0, 1)", "give the share to remove, 0.6 for 60 %")
        if self.quantity not in QUANTITIES:
            raise SuiteError(f"unknown quantity {self.quantity!r}", f"choose from {', '.join(QUANTITIES)}")
        if self.denominator not in DENOMINATORS:
            raise SuiteError(f"unknown denominator {self.denominator!r}", f"choose from {', '.join(DENOMINATORS)}")


@dataclass(frozen=True)
class GateRates:
    """Adam's learning rates of the gates.

    Attributes:
        odds: of the log-odds of being kept.
        scale: of the scale of kept units, where the gate has one.
        coarse: factor on `odds` for hidden units and whole sub-layers. Each of these few gates owns so many
            parameters that the constraint pushes all of them alike, and under Adam as fast as any other;
            slower, they wait for what heads and FFN units give.
    """

    odds: float
    scale: float = 0.0
    coarse: float = 1.0


@dataclass(frozen=True)
class Constraint:
    """How a Lagrangian holds the expected sparsity s to a rising target t: l1 (s - t) + l2 (s - t)^2.

    Attributes:
        rate: Adam's learning rate of the multipliers, which ascend from 0 and `quadratic`.
        quadratic: start of l2 (CoFi: 0). A large one answers a gap at once and in proportion, and so spares
            l1 the wind-up that overshoots the target and prunes what does not come back.
        bound: the multipliers stay within [-bound, bound]; 0 for no bound.
        warmup: share of the pruning steps over which t rises from 0 to the sparsity.
        calibrate: move the decision threshold at the end so that the real size meets the target.
    """

    rate: float = 0.05
    quadratic: float = 100.0
    bound: float = 0.0
    warmup: float = 0.4
    calibrate: bool = True
