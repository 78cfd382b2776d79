"""Ablation axes: one hyper-parameter or loss term of a method at several values, at 60 and 95 %."""

from dataclasses import dataclass

from vtrans.errors import did_you_mean
from vtrans.settings import SITES

SIZES = (60, 95)


@dataclass(frozen=True)
class Point:
    """One value on an axis.

    Attributes:
        label: in tables and figures.
        method: of its rows.
        settings: in its rows' brackets; empty for the method as it is.
    """

    label: str
    method: str
    settings: str = ""

    def row(self, size: int) -> str:
        """Its row at a size in percent."""
        return f"{self.method}-s{size}" + (f"[{self.settings}]" if self.settings else "")


@dataclass(frozen=True)
class Axis:
    """What is varied.

    Attributes:
        summary: one line on it.
        points: in their order; those without settings are what the others are compared with.
    """

    summary: str
    points: tuple[Point, ...]

    def default(self, point: Point) -> Point:
        """The point that another is compared with: its method as it is, or the only one that is as it is."""
        plain = [each for each in self.points if not each.settings]
        return next((each for each in plain if each.method == point.method), plain[0])

    def rows(self, plain: bool) -> list[str]:
        """Rows of all sizes of the points that are as their method is, or of the others."""
        return [p.row(size) for p in self.points if (not p.settings) == plain for size in SIZES]


def _values(method: str, path: str, values: tuple[str, ...], default: str) -> tuple[Point, ...]:
    return tuple(Point(value, method, "" if value == default else f"{path}={value}") for value in values)


def _of_both(*points: tuple[str, str]) -> tuple[Point, ...]:
    return tuple(Point(f"{method} {label}", method, s) for method in ("VTrans", "CoFi") for label, s in points)


def _information(weight: str) -> str:
    return ",".join(f"gates.information.{site}={weight}" for site in SITES)


_SHARES = tuple(Point(f"{share * 100:g} %", "Fast-VTrans-long", f"fraction={share}") for share in (0.01, 0.1, 0.3))
AXES = {
    "distillation": Axis(
        "terms of the distillation loss, or none and the labels alone",
        _of_both(
            ("logits and layers", ""),
            ("logits", "distillation.prediction=1.0,distillation.layer=0.0"),
            ("layers", "distillation.prediction=0.0,distillation.layer=1.0"),
            ("none", "distillation.prediction=0.0,distillation.layer=0.0,distillation.task=1.0"),
        ),
    ),
    "matching": Axis(
        "which student layer a teacher layer is matched with",
        _values("VTrans", "distillation.match", ("same", "argmin", "ordered", "random"), "same"),
    ),
    "information": Axis(
        "weight of the gates' information cost, the KL term",
        (
            Point("0", "VTrans", _information("0.0")),
            Point("1e-6", "VTrans"),
            *(Point(weight, "VTrans", _information(weight)) for weight in ("1e-05", "0.0001", "0.001")),
        ),
    ),
    "noise": Axis(
        "how often the gates' noise is drawn", _values("VTrans", "noise", ("batch", "sample", "token"), "sample")
    ),
    "sharpness": Axis(
        "how sharp the soft count of kept units is at the end",
        _values("VTrans", "gates.sharpness", ("1.0", "2.0", "4.0", "8.0"), "4.0"),
    ),
    "multiplier-rate": Axis(
        "learning rate of the Lagrange multipliers",
        _values("VTrans", "constraint.rate", ("0.01", "0.05", "0.2"), "0.05"),
    ),
    "size-exponent": Axis(
        "power of what a unit owns that the constraint pushes it by; 1 is the plain Lagrangian",
        _values("VTrans", "constraint.size_exponent", ("0.0", "0.25", "0.5", "1.0"), "0.5"),
    ),
    "threshold": Axis(
        "which gates the threshold that meets the size is moved for: all, or heads and FFN units",
        _values("VTrans", "constraint.threshold", ("all", "units"), "all"),
    ),
    "sharpening": Axis(
        "when the soft count of kept units sharpens, all steps or those that have met the size, and what slope pushes",
        (
            *_values("VTrans", "constraint.sharpen", ("steps", "met"), "steps"),
            Point("steps, soft slope", "VTrans", "gates.soft_slope=True"),
        ),
    ),
    "sites": Axis(
        "which units have gates",
        _of_both(
            ("all", ""),
            ("without hidden", "sites=heads:ffn:attention_layer:ffn_layer"),
            ("without layers", "sites=hidden:heads:ffn"),
        ),
    ),
    "quantity": Axis(
        "what the size counts: parameters or MACs", _of_both(("parameters", ""), ("MACs", "budget.quantity=macs"))
    ),
    "data": Axis(
        "share of the training rows, in as many steps",
        (_SHARES[0], Point("3 %", "Fast-VTrans-long"), *_SHARES[1:], Point("100 %", "VTrans")),
    ),
}


def get_axis(name: str) -> Axis:
    """The axis called `name`.

    Raises:
        SuiteError: there is none.
    """
    if name not in AXES:
        raise did_you_mean("axis", name, list(AXES))
    return AXES[name]
