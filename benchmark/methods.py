"""The methods by the names that rows use, and how each is built for a schedule, a size and a strength."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from baselines.cofi import CoFi
from baselines.infor_coef import InforCoef
from baselines.one_shot import OneShot
from baselines.power_bert import PowerBert
from baselines.students import DistilBert, TinyBert
from baselines.transkimmer import Transkimmer
from vtrans.adapters import RecoverLora
from vtrans.errors import SuiteError, did_you_mean
from vtrans.method import Method, Stage
from vtrans.methods.agnostic import TaskAgnostic
from vtrans.methods.decoder import FasterVTransLLM
from vtrans.methods.vtrans import FasterVTrans, FastVTrans, VTrans
from vtrans.settings import PRECISIONS, SITES, Budget, Constraint, GateRates, Schedule
from vtrans.stages import Finetune, VariationalGates


@dataclass(frozen=True)
class Phases:
    """Schedules of a preset for one task.

    Attributes:
        finetune: of the dense model, which is also the teacher; None where the pre-trained one is taken as it is.
        prune, recover: of the methods that see all data, and of the recovery of the one-shot rows.
        fast_prune, fast_recover: of the methods that see a 3 % subset.
        ramp: share of the pruning steps over which the target of CoFi rises.
        tokens: of Infor-Coef's second stage, and of the other token methods where they have none of their own.
        skim: of Transkimmer.
        token_search, token_retrain: of PoWER-BERT's two stages.
        retention: strength and rate of PoWER-BERT's search.
        length: fixed length of the task's sequences, the ranks that PoWER-BERT searches over.
    """

    finetune: Schedule | None
    prune: Schedule
    recover: Schedule
    fast_prune: Schedule
    fast_recover: Schedule
    ramp: float = 0.1
    tokens: Schedule = Schedule(epochs=3, lr=2e-5)
    skim: Schedule | None = None
    token_search: Schedule = Schedule(epochs=3, lr=3e-5)
    token_retrain: Schedule | None = None
    retention: tuple[float, float] = (2e-4, 3e-3)
    length: int = 128

    def schedules(self) -> list[Schedule]:
        """All of them."""
        return [value for value in vars(self).values() if isinstance(value, Schedule)]

    def forced(self, precision: str) -> "Phases":
        """The same in one precision; an empty one leaves all as they are."""
        own = {name: value for name, value in vars(self).items() if isinstance(value, Schedule)}
        changed = {name: replace(value, precision=precision) for name, value in own.items()}  # type: ignore[arg-type]
        return replace(self, **changed) if precision else self  # type: ignore[arg-type]


@dataclass(frozen=True)
class Dense(Method):
    """The fine-tuned model as it is: first row of every table, teacher of all others."""

    finetune: Schedule | None

    def stages(self) -> tuple[Stage, ...]:
        """Fine-tune, or nothing."""
        return (Finetune(self.finetune),) if self.finetune else ()


@dataclass(frozen=True)
class Entry:
    """A method in the registry: one line about it and how to build it.

    Attributes:
        summary: for `list methods`.
        build: from schedules and a size.
        sized: whether rows name a sparsity.
        tokens: whether it drops tokens, and so can follow a static method, as in `CoFi-s60+Infor-Coef`.
        like: method whose overrides it takes over, where it is a variant of it.
        change: what makes the variant, after the overrides.
        pressed: whether a strength changes it.
        words: method that prunes the encoder on text beforehand, in the suite `mlm`.
        decodes: whether it is for decoders alone.
    """

    summary: str
    build: Callable[[Phases, Budget], Method]
    sized: bool = True
    tokens: bool = False
    like: str = ""
    change: Callable[[Any], Any] = lambda method: method
    pressed: bool = True
    words: str = ""
    decodes: bool = False


# Where embeddings count, hidden units are what is left to take: their gates move as fast as the others. At a quarter
# of the rate, VTrans's own, they would hardly get anywhere in the few steps of `small`.
SWIFT = VariationalGates(rates=GateRates(0.05, 0.005))


def _total(budget: Budget) -> Budget:
    return replace(budget, denominator="all")


def _cofi(phases: Phases, budget: Budget) -> CoFi:
    return CoFi(
        budget, phases.prune, phases.recover, constraint=Constraint(rate=0.01, quadratic=0.0, warmup=phases.ramp)
    )


def _decoder(phases: Phases, budget: Budget, **more: Any) -> Method:
    return FasterVTransLLM(budget, phases.fast_prune, phases.fast_recover, **more)


def _agnostic(phases: Phases, budget: Budget) -> Method:
    if phases.finetune is None:
        raise SuiteError("task-agnostic pruning is followed by fine-tuning, which this preset has not", "choose VTrans")
    return TaskAgnostic(phases.finetune)


def _infor_coef(phases: Phases, budget: Budget) -> Method:
    return InforCoef(phases.tokens)


def _variant(summary: str, **losses: Any) -> Entry:
    def change(method: Any) -> Any:
        """The method with other losses."""
        return replace(method, losses=replace(method.losses, **losses))

    pressed = losses.get("norm") != 0 or "skim" in losses
    return Entry(summary, _infor_coef, sized=False, tokens=True, like="Infor-Coef", change=change, pressed=pressed)


METHODS: dict[str, Entry] = {
    "dense": Entry("the fine-tuned model, not compressed", lambda p, b: Dense(p.finetune), sized=False),
    "random": Entry("random heads and FFN units, one-shot", lambda p, b: OneShot(b, p.recover, "random")),
    "magnitude": Entry(
        "heads and FFN units of smallest norm, one-shot", lambda p, b: OneShot(b, p.recover, "magnitude")
    ),
    "CoFi": Entry("hard-concrete masks at five sites, layer distillation", _cofi),
    "VTrans": Entry("variational gates at five sites, weights trained", lambda p, b: VTrans(b, p.prune, p.recover)),
    "Fast-VTrans": Entry("VTrans on 3 % of the data", lambda p, b: FastVTrans(b, p.fast_prune, p.fast_recover)),
    "Faster-VTrans": Entry(
        "3 % of the data, only gates trained", lambda p, b: FasterVTrans(b, p.fast_prune, p.fast_recover)
    ),
    "DistilBERT-style": Entry(
        "every second layer of the teacher, distilled on the task", lambda p, b: DistilBert(p.recover), sized=False
    ),
    "TinyBERT-style": Entry(
        "every third layer, narrower; layers distilled, then logits; no general distillation",
        lambda p, b: TinyBert(p.recover, p.recover),
        sized=False,
    ),
    "VTrans-total": Entry(
        "VTrans to a share of all parameters, embeddings among them",
        lambda p, b: VTrans(_total(b), p.prune, p.recover, gates=SWIFT),
        like="VTrans",
    ),
    "CoFi-layers-total": Entry(
        "CoFi to a share of all parameters, embeddings left whole",
        lambda p, b: replace(_cofi(p, _total(b)), sites=tuple(s for s in SITES if s != "hidden")),
        like="CoFi",
    ),
    "VTrans-agnostic": Entry(
        "VTrans on text, knowing no task, then fine-tuned on the labels", _agnostic, words="VTrans"
    ),
    "CoFi-agnostic": Entry("CoFi on text, knowing no task, then fine-tuned on the labels", _agnostic, words="CoFi"),
    "Faster-VTrans-LLM": Entry("only gates trained, on the text alone: for language models", _decoder, decodes=True),
    "Faster-VTrans-LLM-LoRA": Entry(
        "the same, then adapters trained and merged",
        lambda p, b: _decoder(p, b, lora=RecoverLora(p.recover)),
        like="Faster-VTrans-LLM",
        decodes=True,
    ),
    "Transkimmer": Entry(
        "tokens skimmed by a predictor before each layer",
        lambda p, b: Transkimmer(p.skim or p.tokens),
        sized=False,
        tokens=True,
    ),
    "PoWER-BERT": Entry(
        "tokens dropped by the attention they get, a fixed number a layer",
        lambda p, b: PowerBert(p.token_search, p.token_retrain or p.tokens, p.length, *p.retention),
        sized=False,
        tokens=True,
    ),
    "Infor-Coef": Entry(
        "tokens dropped under an information bottleneck; alone, on the dense model",
        _infor_coef,
        sized=False,
        tokens=True,
    ),
    "Infor-Coef-no-entropy": _variant("Infor-Coef without L_entropy", entropy=0.0),
    "Infor-Coef-no-norm": _variant("Infor-Coef without L_norm", norm=0.0),
    "Infor-Coef-skim": _variant(
        "Infor-Coef with Transkimmer's skim loss for both of its own", skim=0.5, entropy=0.0, norm=0.0
    ),
}
JOINT = {
    "Infor-Coef-4x": "CoFi-s60+Infor-Coef",
    "Infor-Coef-16x": "CoFi-s95+Infor-Coef",
    "VTrans+Infor-Coef": "VTrans-s60+Infor-Coef",
}


def method_name(name: str) -> str:
    """The registry's spelling of a method's name.

    Raises:
        SuiteError: there is none.
    """
    known = {key.lower(): key for key in METHODS}
    if name.lower() not in known:
        raise did_you_mean("method", name, [*METHODS, *JOINT])
    return known[name.lower()]


@dataclass(frozen=True)
class Row:
    """What the name of a row says.

    Attributes:
        name: the row as tables show it.
        method: as in `METHODS`.
        sparsity: of sized methods.
        base: row of the static method whose model a token method starts from; empty for the dense model.
        words: row of the suite `mlm` whose encoder a task-agnostic method starts from; empty for the others.
        strength: factor on the pressure to drop tokens.
        precision: that every schedule is forced to; empty for the preset's own.
    """

    name: str
    method: str
    sparsity: float | None = None
    base: str = ""
    words: str = ""
    strength: float = 1.0
    precision: str = ""

    @property
    def teacher(self) -> str:
        """Name of the dense row that it starts from."""
        return f"dense{self._mark}"

    @property
    def _mark(self) -> str:
        return f"[precision={self.precision}]" if self.precision else ""


def parse_row(text: str) -> Row:
    """Read a row name.

    `VTrans-s60` is VTrans at 60 %, `CoFi-s60+Infor-Coef` is Infor-Coef on the model of CoFi-s60, which goes
    by `Infor-Coef-4x` too, and `Transkimmer@2` is Transkimmer with twice the pressure to skim. A forced precision
    stands behind it all, as in `VTrans-s60[precision=bf16]`, and holds for all that the row starts from.

    Raises:
        SuiteError: unknown method, a sparsity or strength that is missing, out of range or not wanted, or a
            composition that makes no sense.
    """
    text, precision = _parse_precision(text)
    mark = f"[precision={precision}]" if precision else ""
    rest, at, factor = text.partition("@")
    joint = {key.lower(): key for key in JOINT}
    label = joint.get(rest.lower(), "")
    base, plus, own = JOINT.get(label, rest).rpartition("+")
    name, sparsity = _parse_method(own)
    entry = METHODS[name]
    start = parse_row(base).name if plus else ""
    if plus and (not entry.tokens or METHODS[parse_row(base).method].tokens or start == "dense"):
        raise SuiteError(f"{text!r} joins no static and token method", "write CoFi-s60+Infor-Coef for example")
    if at and not (entry.tokens and entry.pressed):
        raise SuiteError(f"method {name!r} takes no strength", f"write {own}")
    suffix = f"-s{sparsity * 100:g}" if sparsity is not None else ""
    spelt = label or (f"{start}+" if start else "") + name + suffix
    spelt = {row: key for key, row in JOINT.items()}.get(spelt, spelt)
    strength = _parse_strength(factor, text) if at else 1.0
    words = f"{entry.words}{suffix}{mark}" if entry.words else ""
    spelt += f"@{strength:.12g}" if strength != 1 else ""
    return Row(spelt + mark, name, sparsity, start and start + mark, words, strength, precision)


def _parse_precision(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.+)\[precision=(\w+)\]", text)
    if match is None:
        return text, ""
    if match[2] not in PRECISIONS:
        raise did_you_mean("precision", match[2], list(PRECISIONS))
    return match[1], "" if match[2] == "auto" else match[2]


def _parse_strength(text: str, row: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) or float(text) == 0:
        raise SuiteError(f"{row!r} has no strength above 0", "write Transkimmer@2 for twice the pressure to skim")
    return float(text)


def parse_sparsity(text: str) -> float | None:
    """The sparsity that the name of a row ends in; None where it names none."""
    match = re.fullmatch(r".+-s(\d+(?:\.\d+)?)", text)
    return float(match[1]) / 100 if match else None


def _parse_method(text: str) -> tuple[str, float | None]:
    match = re.fullmatch(r"(.+?)(?:-s(\d+(?:\.\d+)?))?", text)
    name, percent = (match[1], match[2]) if match else (text, None)
    if name.lower() in {key.lower() for key in JOINT}:
        raise SuiteError(f"{text!r} sizes a row that is fixed", f"write {name}, or compose one: CoFi-s70+Infor-Coef")
    name = method_name(name)
    if METHODS[name].sized != (percent is not None):
        remedy = f"write {name}-s60 for 60 %" if METHODS[name].sized else f"write {name}"
        raise SuiteError(f"method {text!r} {'lacks' if METHODS[name].sized else 'takes no'} sparsity", remedy)
    if percent is None:
        return name, None
    if 0 < float(percent) < 1:
        raise SuiteError(
            f"{text!r} asks for {percent} percent", f"write {name}-s{float(percent) * 100:g} for {percent}"
        )
    return name, Budget(float(percent) / 100).sparsity


def build(row: str, phases: Phases, overrides: dict[str, dict] | None = None, budget: Budget | None = None) -> Method:
    """The method of a row such as `VTrans-s60`, without what its model starts from.

    Args:
        row: see `parse_row`.
        phases: schedules.
        overrides: fields to replace, for each method name.
        budget: size to reach; by default the row's sparsity in parameters of the encoder.
    """
    parsed = parse_row(row)
    entry = METHODS[parsed.method]
    method: Any = entry.build(phases.forced(parsed.precision), budget or Budget(parsed.sparsity or 0.5))
    method = entry.change(replace(method, **(overrides or {}).get(entry.like or parsed.method, {})))
    return method if parsed.strength == 1 else method.stronger(parsed.strength)
