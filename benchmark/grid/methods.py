"""The methods by the names that rows use, and how each is built for a schedule, a size and a strength."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from baselines.cofi import CoFi
from baselines.distilbert import DistilBert
from baselines.infor_coef import InforCoef
from baselines.one_shot import OneShot
from baselines.power_bert import PowerBert
from baselines.tinybert import TinyBert
from baselines.transkimmer import Transkimmer
from benchmark.grid.schedules import Schedules
from vtrans.errors import SuiteError, did_you_mean
from vtrans.methods.adapters import RecoverLora
from vtrans.methods.agnostic import TaskAgnostic
from vtrans.methods.base import Method, Stage
from vtrans.methods.decoder import FasterVTransLLM
from vtrans.methods.stages import Finetune, VariationalGates
from vtrans.methods.vtrans import FasterVTrans, FastVTrans, VTrans
from vtrans.settings import SITES, Budget, Constraint, GateRates, Schedule


@dataclass(frozen=True)
class Dense(Method):
    """The fine-tuned model as it is: first row of every table, teacher of all others."""

    finetune: Schedule | None

    def stages(self) -> tuple[Stage, ...]:
        """Fine-tune, or nothing."""
        return (Finetune(self.finetune),) if self.finetune else ()


@dataclass(frozen=True)
class MethodSpec:
    """A method in the registry: one line about it and how to build it.

    Attributes:
        summary: for `list methods`.
        build: from schedules and a size.
        sized: whether rows name a sparsity.
        tokens: whether it drops tokens, and so can follow a static method, as in `CoFi-s60+Infor-Coef`.
        like: method whose overrides it takes over, where it is a variant of it.
        change: what makes the variant, after the overrides.
        scalable: whether a loss scale changes it.
        words: method that prunes the encoder on text beforehand, in the suite `mlm`.
        decodes: whether it is for decoders alone.
    """

    summary: str
    build: Callable[[Schedules, Budget], Method]
    sized: bool = True
    tokens: bool = False
    like: str = ""
    change: Callable[[Any], Any] = lambda method: method
    scalable: bool = True
    words: str = ""
    decodes: bool = False


# Where embeddings count, hidden units are what is left to take: their gates move as fast as the others. At a quarter
# of the rate, VTrans's own, they would hardly get anywhere in the few steps of `small`.
SWIFT = VariationalGates(rates=GateRates(0.05, 0.005))


def _total(budget: Budget) -> Budget:
    return replace(budget, denominator="all")


def _cofi(schedules: Schedules, budget: Budget) -> CoFi:
    return CoFi(
        budget,
        schedules.prune,
        schedules.recover,
        constraint=Constraint(rate=0.01, quadratic=0.0, warmup=schedules.ramp),
    )


def _decoder(schedules: Schedules, budget: Budget, **more: Any) -> Method:
    return FasterVTransLLM(budget, schedules.fast_prune, schedules.fast_recover, **more)


def _agnostic(schedules: Schedules, budget: Budget) -> Method:
    if schedules.finetune is None:
        raise SuiteError("task-agnostic pruning is followed by fine-tuning, which this preset has not", "choose VTrans")
    return TaskAgnostic(schedules.finetune)


def _infor_coef(schedules: Schedules, budget: Budget) -> Method:
    return InforCoef(schedules.tokens)


def _variant(summary: str, **losses: Any) -> MethodSpec:
    def change(method: Any) -> Any:
        """The method with other losses."""
        return replace(method, losses=replace(method.losses, **losses))

    scalable = losses.get("norm") != 0 or "skim" in losses
    return MethodSpec(
        summary, _infor_coef, sized=False, tokens=True, like="Infor-Coef", change=change, scalable=scalable
    )


METHODS: dict[str, MethodSpec] = {
    "dense": MethodSpec("the fine-tuned model, not compressed", lambda p, b: Dense(p.finetune), sized=False),
    "random": MethodSpec("random heads and FFN units, one-shot", lambda p, b: OneShot(b, p.recover, "random")),
    "magnitude": MethodSpec(
        "heads and FFN units of smallest norm, one-shot", lambda p, b: OneShot(b, p.recover, "magnitude")
    ),
    "CoFi": MethodSpec("hard-concrete masks at five sites, layer distillation", _cofi),
    "VTrans": MethodSpec(
        "variational gates at five sites, weights trained", lambda p, b: VTrans(b, p.prune, p.recover)
    ),
    "Fast-VTrans": MethodSpec("VTrans on 3 % of the data", lambda p, b: FastVTrans(b, p.fast_prune, p.fast_recover)),
    "Faster-VTrans": MethodSpec(
        "3 % of the data, only gates trained", lambda p, b: FasterVTrans(b, p.fast_prune, p.fast_recover)
    ),
    "DistilBERT-style": MethodSpec(
        "every second layer of the teacher, distilled on the task", lambda p, b: DistilBert(p.recover), sized=False
    ),
    "TinyBERT-style": MethodSpec(
        "every third layer, narrower; layers distilled, then logits; no general distillation",
        lambda p, b: TinyBert(p.recover, p.recover),
        sized=False,
    ),
    "VTrans-total": MethodSpec(
        "VTrans to a share of all parameters, embeddings among them",
        lambda p, b: VTrans(_total(b), p.prune, p.recover, gates=SWIFT),
        like="VTrans",
    ),
    "CoFi-layers-total": MethodSpec(
        "CoFi to a share of all parameters, embeddings left whole",
        lambda p, b: replace(_cofi(p, _total(b)), sites=tuple(s for s in SITES if s != "hidden")),
        like="CoFi",
    ),
    "VTrans-agnostic": MethodSpec(
        "VTrans on text, knowing no task, then fine-tuned on the labels", _agnostic, words="VTrans"
    ),
    "CoFi-agnostic": MethodSpec(
        "CoFi on text, knowing no task, then fine-tuned on the labels", _agnostic, words="CoFi"
    ),
    "Faster-VTrans-LLM": MethodSpec(
        "only gates trained, on the text alone: for language models", _decoder, decodes=True
    ),
    "Faster-VTrans-LLM-LoRA": MethodSpec(
        "the same, then adapters trained and merged",
        lambda p, b: _decoder(p, b, lora=RecoverLora(p.recover)),
        like="Faster-VTrans-LLM",
        decodes=True,
    ),
    "Transkimmer": MethodSpec(
        "tokens skimmed by a predictor before each layer",
        lambda p, b: Transkimmer(p.skim or p.tokens),
        sized=False,
        tokens=True,
    ),
    "PoWER-BERT": MethodSpec(
        "tokens dropped by the attention they get, a fixed number a layer",
        lambda p, b: PowerBert(p.token_search, p.token_retrain or p.tokens, p.length, *p.retention),
        sized=False,
        tokens=True,
    ),
    "Infor-Coef": MethodSpec(
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
