"""The methods by the names that commands and rows use, and how each is built for a schedule and a size."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from baselines.cofi import CoFi
from baselines.one_shot import OneShot
from vtrans.errors import SuiteError, did_you_mean
from vtrans.method import Method, Stage
from vtrans.methods.vtrans import FasterVTrans, FastVTrans, VTrans
from vtrans.settings import Budget, Schedule
from vtrans.stages import Finetune


@dataclass(frozen=True)
class Phases:
    """Schedules of a preset for one task.

    Attributes:
        finetune: of the dense model, which is also the teacher.
        prune, recover: of the methods that see all data, and of the recovery of the one-shot rows.
        fast_prune, fast_recover: of the methods that see a 3 % subset.
    """

    finetune: Schedule
    prune: Schedule
    recover: Schedule
    fast_prune: Schedule
    fast_recover: Schedule


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


METHODS: dict[str, Entry] = {
    "dense": Entry("the fine-tuned model, not compressed", lambda p, b: Dense(p.finetune), sized=False),
    "random": Entry("random heads and FFN units, one-shot", lambda p, b: OneShot(b, p.recover, "random")),
    "magnitude": Entry(
        "heads and FFN units of smallest norm, one-shot", lambda p, b: OneShot(b, p.recover, "magnitude")
    ),
    "CoFi": Entry("hard-concrete masks at five sites, layer distillation", lambda p, b: CoFi(b, p.prune, p.recover)),
    "VTrans": Entry("variational gates at five sites, weights trained", lambda p, b: VTrans(b, p.prune, p.recover)),
    "Fast-VTrans": Entry("VTrans on 3 % of the data", lambda p, b: FastVTrans(b, p.fast_prune, p.fast_recover)),
    "Faster-VTrans": Entry(
        "3 % of the data, only gates trained", lambda p, b: FasterVTrans(b, p.fast_prune, p.fast_recover)
    ),
}


def parse_row(row: str) -> tuple[str, float | None]:
    """Split a row name into method and sparsity: `VTrans-s60` is VTrans at 0.6.

    Raises:
        SuiteError: unknown method, or a sparsity that is missing, out of range or not wanted.
    """
    match = re.fullmatch(r"(.+?)(?:-s(\d+(?:\.\d+)?))?", row)
    name, percent = (match[1], match[2]) if match else (row, None)
    known = {key.lower(): key for key in METHODS}
    if name.lower() not in known:
        raise did_you_mean("method", name, list(METHODS))
    name = known[name.lower()]
    if METHODS[name].sized != (percent is not None):
        remedy = f"write {name}-s60 for 60 %" if METHODS[name].sized else f"write {name}"
        raise SuiteError(f"method {row!r} {'lacks' if METHODS[name].sized else 'takes no'} sparsity", remedy)
    if percent is not None:
        Budget(float(percent) / 100)  # refuses what is out of range
    return name, None if percent is None else float(percent) / 100


def build(row: str, phases: Phases, overrides: dict[str, dict] | None = None, budget: Budget | None = None) -> Method:
    """The method of a row such as `VTrans-s60`.

    Args:
        row: name of the row.
        phases: schedules.
        overrides: fields to replace, for each method name.
        budget: size to reach, in place of the row's sparsity of the encoder's parameters.
    """
    from dataclasses import replace

    name, sparsity = parse_row(row)
    method = METHODS[name].build(phases, budget or Budget(sparsity or 0.5))
    return replace(method, **(overrides or {}).get(name, {}))  # type: ignore[type-var]
