"""Hyper-parameters shared by the methods, as frozen dataclasses that need no torch.

They are part of a run's key, so a field that cannot change a result does not belong here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from vtrans.errors import SuiteError

SITES = ("hidden", "heads", "ffn", "attention_layer", "ffn_layer")
Quantity = Literal["parameters", "macs", "latency", "latency-b1"]
Denominator = Literal["encoder", "all"]
Threshold = Literal["all", "units"]
Sharpening = Literal["steps", "met"]
Origin = Literal["zero", "gates"]
Precision = Literal["auto", "bf16", "fp16", "fp32"]
STAGES = (0, 2, 3)  # of ZeRO
PRECISIONS = get_args(Precision)
NOT_IN_KEY = "not in key"  # in a field's metadata: the value under which runs are what they were before the field came


def check_range(thing: object, name: str, low: float, high: float = float("inf"), open_low: bool = False) -> None:
    """Raise `SuiteError` where the field `name` of a dataclass is outside [low, high], or (low, high]."""
    value = getattr(thing, name)
    if not low <= value <= high or (open_low and value == low):
        bounds = f"{'(' if open_low else '['}{low:g}, {high:g}]" if high < float("inf") else f"{low:g} and above"
        kind = type(thing).__name__
        raise SuiteError(f"{name} of {kind} is {value:g}, outside {bounds}", "give a value within the bounds")


def check_choices(thing: Any) -> None:
    """Raise `SuiteError` where a field of a dataclass that is declared as a `Literal` has another value."""
    kind: Any = type(thing)
    for name, known in _choices(kind).items():
        if (value := getattr(thing, name)) not in known:
            raise SuiteError(f"{name} of {kind.__name__} is {value!r}", f"choose from {', '.join(map(str, known))}")


@cache
def _choices(kind: Any) -> dict[str, tuple[str, ...]]:
    try:
        hints = get_type_hints(kind)
    except NameError:  # a subclass of a user's, with types that are there for checkers alone
        return {}
    return {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}


@dataclass(frozen=True)
class Schedule:
    """How long and at which rates one stage trains.

    Attributes:
        epochs: passes over the data; used where `steps` is 0.
        steps: optimiser steps.
        batch: sequences per optimiser step.
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

    def __post_init__(self) -> None:
        for name, low, high in (("warmup", 0, 1), ("steps", 0, 1e9), ("epochs", 0, 1e6), ("batch", 1, 1e6)):
            check_range(self, name, low, high)
        for name, high in (("lr", 1), ("weight_decay", 1), ("clip", 1e6), ("accumulate", 1e6)):
            check_range(self, name, 0, high, open_low=name in ("lr", "accumulate"))
        check_choices(self)

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
        layers: teacher layers counted from 1; by default the last of each of four equal parts (of three where
            four do not divide the depth): 3, 6, 9, 12 of 12. The last layer alone where neither does, as of 22.
    """

    prediction: float = 0.5
    layer: float = 0.5
    task: float = 0.0
    temperature: float = 2.0
    match: Literal["same", "argmin", "ordered", "random"] = "same"
    layers: tuple[int, ...] = ()

    @property
    def needs_teacher(self) -> bool:
        """Whether a teacher is needed."""
        return bool(self.prediction or self.layer)

    def __post_init__(self) -> None:
        for name in ("prediction", "layer", "task"):
            check_range(self, name, 0)
        check_range(self, "temperature", 0, open_low=True)
        if any(layer < 1 for layer in self.layers):
            raise SuiteError(f"layers of Distillation are {self.layers}", "count teacher layers from 1")
        check_choices(self)


def check_sites(sites: Sequence[str]) -> None:
    """Raise `SuiteError` where gates are asked for where there are none, or nowhere."""
    unknown = set(sites) - set(SITES)
    if unknown or not sites:
        raise SuiteError(f"unknown gate sites {sorted(unknown)}", f"choose from {', '.join(SITES)}")


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
    quantity: Quantity = "parameters"
    denominator: Denominator = "encoder"
    length: int = 128

    @property
    def counted(self) -> str:
        """What the sparsity is a share of: latency knows no denominator."""
        return self.quantity if self.quantity.startswith("latency") else f"{self.denominator} {self.quantity}"

    def __post_init__(self) -> None:
        check_range(self, "length", 1)
        if not 0 < self.sparsity < 1:
            raise SuiteError(f"sparsity {self.sparsity} is outside (0, 1)", "give the share to remove, 0.6 for 60 %")
        check_choices(self)


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

    def __post_init__(self) -> None:
        for name in ("odds", "scale", "coarse"):
            check_range(self, name, 0, 100)


@dataclass(frozen=True)
class Constraint:
    """How a Lagrangian holds the expected sparsity s to a rising target t: l1 (s - t) + l2 (s - t)^2.

    Attributes:
        rate: Adam's learning rate of the Lagrange multipliers, which ascend from 0 and `quadratic`.
        quadratic: start of l2 (CoFi: 0). A large one answers a gap at once and in proportion, and so spares
            l1 the wind-up that overshoots the target and prunes what does not come back.
        bound: the Lagrange multipliers stay within [-bound, bound]; 0 for no bound.
        warmup: share of the pruning steps over which t rises to the sparsity.
        origin: what t rises from: `zero` (CoFi), or the expected sparsity that the `gates` start with (TVA-prune: the
            measured one). A soft count has open gates as partly closed, 14 % at VTrans's start; from zero, the
            constraint therefore opens all gates further until t has passed that, to where a sharp count no longer
            moves them.
        calibrate: move the decision threshold at the end so that the real size meets the target.
        threshold: which gates that threshold is for: `all`, or `units`, heads and FFN units, while hidden units and
            sub-layers are decided by the sign of their log-odds, or at the threshold where that is lower. A hidden
            unit owns so much that where the expected size has not come down to the target, a threshold for all
            takes what is missing from the hidden width.
        size_exponent: the constraint's gradient pushes the units of a site in proportion to what one of them owns, to
            this power; 1 is the plain Lagrangian. A head owns twice its columns as many parameters as an FFN unit, 64
            times in MiniLM and 128 in BERT-base, so that under 1 the constraint outweighs the loss at heads, all of
            them, long before it does at FFN units. Under 0 units of all sites are pushed alike, and FFN units go first.
        sharpen: when the count of kept units sharpens, for gates with such a count: from the first to the last of the
            `steps`, or only once t has risen, in steps whose s has `met` it to within 0.02. A sharp count hardly pushes
            a gate that has not begun to close, so that gates which are late are left where they are.
    """

    rate: float = 0.05
    quadratic: float = 100.0
    bound: float = 0.0
    warmup: float = 0.4
    calibrate: bool = True
    size_exponent: float = field(default=1.0, metadata={NOT_IN_KEY: 1.0})
    threshold: Threshold = field(default="all", metadata={NOT_IN_KEY: "all"})
    sharpen: Sharpening = field(default="steps", metadata={NOT_IN_KEY: "steps"})
    origin: Origin = field(default="zero", metadata={NOT_IN_KEY: "zero"})

    def __post_init__(self) -> None:
        check_range(self, "warmup", 0, 1)
        check_range(self, "size_exponent", 0, 1)
        check_choices(self)
        for name in ("rate", "quadratic", "bound"):
            check_range(self, name, 0)


@dataclass(frozen=True)
class Schedules:
    """Schedules of a run on one task, by what they are for.

    Attributes:
        finetune: of the dense model, which is also the teacher; None where the pre-trained one is taken as it is.
        prune, recover: of the methods that see all data, and of the recovery of the one-shot rows.
        fast_prune, fast_recover: of the methods that see a 3 % subset.
        tokens: of methods that learn to drop tokens.
        token_search: of a search for how many tokens to keep, before that.
    """

    finetune: Schedule | None
    prune: Schedule
    recover: Schedule
    fast_prune: Schedule
    fast_recover: Schedule
    tokens: Schedule = Schedule(epochs=3, lr=2e-5)
    token_search: Schedule = Schedule(epochs=3, lr=3e-5)

    def all(self) -> list[Schedule]:
        """All of them."""
        return [value for value in vars(self).values() if isinstance(value, Schedule)]


# A few minutes on two cores: what the preset `quick` and the library run by default.
QUICK = Schedules(
    finetune=Schedule(steps=200, lr=1e-4, warmup=0.1),
    prune=Schedule(steps=170, lr=3e-4),
    recover=Schedule(steps=170, lr=3e-4),
    fast_prune=Schedule(steps=80, lr=1e-4),
    fast_recover=Schedule(steps=40, lr=3e-4),
    tokens=Schedule(steps=120, lr=2e-5, warmup=0.1),
    token_search=Schedule(steps=50, lr=2e-5),
)


@dataclass(frozen=True)
class Setting:
    """What a method is built for.

    Attributes:
        schedules: how long and how fast each stage trains.
        budget: size to reach, of methods that have one.
        suite: suite of the preset, `glue` for one.
        scale: `quick`, `small`, `paper`, or another name, which stands for a method's own defaults.
        task: name of the task; empty for data of the user's.
        length: fixed length of the task's sequences, in tokens.
        layers: of the dense model; 0 where it is not known.
    """

    schedules: Schedules
    budget: Budget = Budget(0.5)
    suite: str = ""
    scale: str = ""
    task: str = ""
    length: int = 128
    layers: int = 0

    @property
    def short(self) -> bool:
        """Whether stages take a few hundred steps instead of the papers' tens of thousands."""
        return self.scale in ("quick", "small", "medium")


@dataclass(frozen=True)
class Sharding:
    """How several processes hold a model.

    Attributes:
        stage: of ZeRO: 0, the model is whole on each rank, and its weights may train; under 2 and 3 it is frozen, and
            DeepSpeed holds it: whole under 2, in shards under 3.
        offload: where the shards of stage 3 wait: empty for the device itself, `cpu` for the host's memory, or a
            folder on an NVMe disk.
        checkpointing: recompute activations in the backward pass instead of keeping them.
    """

    stage: Literal[0, 2, 3] = 3
    offload: str = ""
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise SuiteError(f"ZeRO stage {self.stage} is not known here", "give 0, 2 or 3")
        if self.offload and self.stage != 3:
            raise SuiteError(f"stage {self.stage} keeps the weights on the device", "offload under stage 3")
