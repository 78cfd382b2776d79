"""The methods by the names that commands and rows use, and how each is built for a schedule and a size."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from baselines.cofi import CoFi
from baselines.one_shot import OneShot
from vtrans.errors import SuiteError, did_you_mean
from vtrans.method import Method, Stage
from vtrans.methods.vtrans import FasterVTrans, FastVTrans, VTrans
from vtrans.settings import Budget, Constraint, Schedule
from vtrans.stages import Finetune


@dataclass(frozen=True)
class Phases:
    """Schedules of a preset for one task.

    Attributes:
        finetune: of the dense model, which is also the teacher.
        prune, recover: of the methods that see all data, and of the recovery of the one-shot rows.
        fast_prune, fast_recover: of the methods that see a 3 % subset.
        ramp: share of the pruning steps over which the target of CoFi rises.
    """

    finetune: Schedule
    prune: Schedule
    recover: Schedule
    fast_prune: Schedule
    fast_recover: Schedule
    ramp: float = 0.1


@dataclass(frozen=True)
class Dense(Method):
    """The fine-tuned model as it is: first row of every table, teacher of all others."""

    finetune: Schedule

    def stages(self) -> tuple[Stage, ...]:
        """Fine-tune."""
        return (Finetune(self.finetune),)


@dataclass(frozen=True)
class Entry:
    """A method in the registry: one line about it and how to build it. `sized` ones take a sparsity."""

    summary: str
    build: Callable[[Phases, Budget], Method]
    sized: bool = True


def _cofi(phases: Phases, budget: Budget) -> Method:
    return CoFi(
        budget, phases.prune, phases.recover, constraint=Constraint(rate=0.01, quadratic=0.0, warmup=phases.ramp)
    )


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
}


def method_name(name: str) -> str:
    """The registry's spelling of a method's name.

    Raises:
        SuiteError: there is none.
    """
    known = {key.lower(): key for key in METHODS}
    if name.lower() not in known:
        raise did_you_mean("method", name, list(METHODS))
    return known[name.lower()]


def parse_row(row: str) -> tuple[str, float | None]:
    """Split a row name into method and sparsity: `VTrans-s60` is VTrans at 0.6.

    Raises:
        SuiteError: unknown method, or a sparsity that is missing, out of range or not wanted.
    """
    match = re.fullmatch(r"(.+?)(?:-s(\d+(?:\.\d+)?))?", row)
    name, percent = (match[1], match[2]) if match else (row, None)
    name = method_name(name)
    if METHODS[name].sized != (percent is not None):
        remedy = f"write {name}-s60 for 60 %" if METHODS[name].sized else f"write {name}"
        raise SuiteError(f"method {row!r} {'lacks' if METHODS[name].sized else 'takes no'} sparsity", remedy)
    if percent is None:
        return name, None
    if 0 < float(percent) < 1:
        raise SuiteError(f"{row!r} asks for {percent} percent", f"write {name}-s{float(percent) * 100:g} for {percent}")
    return name, Budget(float(percent) / 100).sparsity


def build(row: str, phases: Phases, overrides: dict[str, dict] | None = None) -> Method:
    """The method of a row such as `VTrans-s60`, its sparsity in parameters of the encoder."""
    name, sparsity = parse_row(row)
    return build_method(name, phases, overrides, Budget(sparsity or 0.5))


def build_method(name: str, phases: Phases, overrides: dict[str, dict] | None, budget: Budget) -> Method:
    """The method called `name`.

    Args:
        name: as in `METHODS`.
        phases: schedules.
        overrides: fields to replace, for each method name.
        budget: size to reach; ignored by methods without one.
    """
    return replace(METHODS[name].build(phases, budget), **(overrides or {}).get(name, {}))  # type: ignore[type-var]
