"""Names of rows, read and built: `VTrans-s60`, `CoFi-s60+Infor-Coef`, `Transkimmer@2`."""

import re
from dataclasses import dataclass, replace
from typing import Any

from benchmark.grid.methods import JOINT, METHODS, method_name
from benchmark.grid.schedules import Schedules
from vtrans.errors import SuiteError, did_you_mean
from vtrans.methods.base import Method
from vtrans.settings import PRECISIONS, Budget


@dataclass(frozen=True)
class RowSpec:
    """What the name of a row says.

    Attributes:
        name: the row as tables show it.
        method: as in `METHODS`.
        sparsity: of sized methods.
        base: row of the static method whose model a token method starts from; empty for the dense model.
        words: row of the suite `mlm` whose encoder a task-agnostic method starts from; empty for the others.
        loss_scale: factor on the pressure to drop tokens.
        precision: that every schedule is forced to; empty for the preset's own.
    """

    name: str
    method: str
    sparsity: float | None = None
    base: str = ""
    words: str = ""
    loss_scale: float = 1.0
    precision: str = ""

    @property
    def teacher(self) -> str:
        """Name of the dense row that it starts from."""
        return f"dense{self._mark}"

    @property
    def _mark(self) -> str:
        return f"[precision={self.precision}]" if self.precision else ""


def parse_row(text: str) -> RowSpec:
    """Read a row name.

    `VTrans-s60` is VTrans at 60 %, `CoFi-s60+Infor-Coef` is Infor-Coef on the model of CoFi-s60, which goes
    by `Infor-Coef-4x` too, and `Transkimmer@2` is Transkimmer with twice the pressure to skim. A forced precision
    stands behind it all, as in `VTrans-s60[precision=bf16]`, and holds for all that the row starts from.

    Raises:
        SuiteError: unknown method, a sparsity or loss scale that is missing, out of range or not wanted, or a
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
    if at and not (entry.tokens and entry.scalable):
        raise SuiteError(f"method {name!r} takes no loss scale", f"write {own}")
    suffix = f"-s{sparsity * 100:g}" if sparsity is not None else ""
    spelt = label or (f"{start}+" if start else "") + name + suffix
    spelt = {row: key for key, row in JOINT.items()}.get(spelt, spelt)
    loss_scale = _parse_loss_scale(factor, text) if at else 1.0
    words = f"{entry.words}{suffix}{mark}" if entry.words else ""
    spelt += f"@{loss_scale:.12g}" if loss_scale != 1 else ""
    return RowSpec(spelt + mark, name, sparsity, start and start + mark, words, loss_scale, precision)


def _parse_precision(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.+)\[precision=(\w+)\]", text)
    if match is None:
        return text, ""
    if match[2] not in PRECISIONS:
        raise did_you_mean("precision", match[2], list(PRECISIONS))
    return match[1], "" if match[2] == "auto" else match[2]


def _parse_loss_scale(text: str, row: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) or float(text) == 0:
        raise SuiteError(f"{row!r} has no loss scale above 0", "write Transkimmer@2 for twice the pressure to skim")
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


def build(
    row: str, schedules: Schedules, overrides: dict[str, dict] | None = None, budget: Budget | None = None
) -> Method:
    """The method of a row such as `VTrans-s60`, without what its model starts from.

    Args:
        row: see `parse_row`.
        schedules: schedules.
        overrides: fields to replace, for each method name.
        budget: size to reach; by default the row's sparsity in parameters of the encoder.
    """
    parsed = parse_row(row)
    entry = METHODS[parsed.method]
    method: Any = entry.build(schedules.forced(parsed.precision), budget or Budget(parsed.sparsity or 0.5))
    method = entry.change(replace(method, **(overrides or {}).get(entry.like or parsed.method, {})))
    return method if parsed.loss_scale == 1 else method.scaled(parsed.loss_scale)
