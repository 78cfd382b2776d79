"""Names of rows, read and built: `VTrans-s60`, `CoFi-s60+Infor-Coef`, `Transkimmer@2`, `CoFi-s60[constraint.rate=0.1]`.

row  = part [+ part]          a static method, and a token method on the model that it leaves
part = METHOD [-sPERCENT] [@LOSS_SCALE] [[LEAF=VALUE,...]]
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from benchmark.grid.methods import JOINT, METHODS, method_name
from vtrans.errors import SuiteError, did_you_mean
from vtrans.methods.base import Method
from vtrans.overrides import leaf_text, with_leaf, with_precision
from vtrans.settings import PRECISIONS, Budget, Precision, Setting

PART = re.compile(
    r"(?P<name>[^@\[\]]+?)(?:-s(?P<percent>\d+(?:\.\d+)?))?(?:@(?P<scale>[^\[]*))?(?:\[(?P<set>[^\[\]]*)\])?"
)
PRECISION = "precision"  # the setting that stands for all schedules, and for those of all that a row starts from

Settings = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RowSpec:
    """What the name of a row says.

    Attributes:
        name: the row as tables show it.
        method: as in `METHODS`.
        sparsity: of sized methods.
        base: row of the static method whose model a token method starts from; empty for the dense model.
        below: row of the next smaller size of the same family, where the method is one of a family and has one.
        text_base: row of the suite `mlm` whose encoder a task-agnostic method starts from; empty for the others.
        loss_scale: factor on the pressure to drop tokens.
        settings: hyper-parameters that are set, by their path, and their values.
        precision: that every schedule is forced to; empty for the preset's own.
    """

    name: str
    method: str
    sparsity: float | None = None
    base: str = ""
    below: str = ""
    text_base: str = ""
    loss_scale: float = 1.0
    settings: Settings = ()
    precision: str = ""

    @property
    def teacher(self) -> str:
        """Name of the dense row that it starts from."""
        return f"dense{_mark((), self.precision)}"


def _mark(settings: Settings, precision: str) -> str:
    found = [*settings, *([(PRECISION, precision)] if precision else [])]
    return "[" + ",".join(f"{path}={value}" for path, value in found) + "]" if found else ""


@dataclass(frozen=True)
class _Part:
    """One method of a row's name; `alias` where it stands for a joint row."""

    method: str
    sparsity: float | None
    scale: float
    settings: Settings
    precision: str


def parse_row(text: str) -> RowSpec:
    """Read a row name.

    `VTrans-s60` is VTrans at 60 %, `CoFi-s60+Infor-Coef` is Infor-Coef on the model of CoFi-s60, which goes by
    `Infor-Coef-4x` too, and `Transkimmer@2` is Transkimmer with twice the pressure to skim. Hyper-parameters that are
    set stand in brackets behind their method. A forced precision stands there too, and holds for all that the row
    starts from.

    Raises:
        SuiteError: unknown method or hyper-parameter, a sparsity or loss scale that is missing, out of range or not
            wanted, or a composition that makes no sense.
    """
    parts = [_parse_part(part, text) for part in _without_alias(text)]
    own, base = parts[-1], parts[0] if len(parts) == 2 else None
    method = METHODS[own.method]
    if len(parts) > 2 or (base and not _joins(base.method, own.method)):
        raise SuiteError(
            f"{text!r} is not one static method + one token method", "write CoFi-s60+Infor-Coef for example"
        )
    precision = own.precision or (base.precision if base else "")
    start = _spelt(replace(base, precision=precision)) if base else ""
    plain = _spelt(replace(base, precision="")) if base else ""
    name = _with_alias(plain, own) + _mark(own.settings, precision)
    suffix = _suffix(own.sparsity)
    text_base = f"{method.text_method}{suffix}{_mark((), precision)}" if method.text_method else ""
    below = _below(own, precision)
    return RowSpec(name, own.method, own.sparsity, start, below, text_base, own.scale, own.settings, precision)


def _below(own: _Part, precision: str) -> str:
    """Row of the next smaller size of a family."""
    sizes = METHODS[own.method].family
    if not sizes:
        return ""
    if own.sparsity not in sizes:
        known = ", ".join(f"{own.method}{_suffix(size)}" for size in sizes)
        raise SuiteError(f"{own.method}{_suffix(own.sparsity)} is no size of its family", f"choose from {known}")
    place = sizes.index(own.sparsity)
    return _spelt(replace(own, sparsity=sizes[place - 1], precision=precision)) if place else ""


def _without_alias(text: str) -> list[str]:
    """The parts of a row, its alias resolved."""
    parts = _split_outside(text, "+")
    whole, known = re.split(r"[@\[]", text)[0], {key.lower(): key for key in JOINT}
    if whole.lower() in known:  # an alias with a plus in it is one, not two
        return _split_outside(JOINT[known[whole.lower()]] + text[len(whole) :], "+")
    return parts


def _split_outside(text: str, sign: str) -> list[str]:
    """Parts between signs that stand in no brackets."""
    return re.split(re.escape(sign) + r"(?![^\[]*\])", text)


def split_rows(text: str) -> list[str]:
    """Names of rows between commas; those within brackets are part of a name.

    Raises:
        SuiteError: there is nothing between two commas.
    """
    found = [part.strip() for part in _split_outside(text, ",")]
    if any(found) and not all(found):
        raise SuiteError(f"{text!r} has nothing between two commas", "leave out a comma, or name what is missing")
    return [part for part in found if part]


def _with_alias(base: str, own: _Part) -> str:
    bare = (f"{base}+" if base else "") + own.method + _suffix(own.sparsity)
    bare = {row: key for key, row in JOINT.items()}.get(bare, bare)
    return bare + (f"@{own.scale:.12g}" if own.scale != 1 else "")


def _spelt(part: _Part) -> str:
    return _with_alias("", part) + _mark(part.settings, part.precision)


def _suffix(sparsity: float | None) -> str:
    return f"-s{sparsity * 100:g}" if sparsity is not None else ""


def _joins(base: str, own: str) -> bool:
    return bool(METHODS[own].selector) and not METHODS[base].selector and base != "dense"


def _parse_part(text: str, row: str) -> _Part:
    match = PART.fullmatch(text)
    if match is None:
        raise SuiteError(f"{row!r} is no name of a row", "write VTrans-s60 for example")
    if match["name"].lower() in {key.lower() for key in JOINT}:
        remedy = f"write {match['name']}, or compose one: CoFi-s70+Infor-Coef"
        raise SuiteError(f"{text!r} gives a size to a row that has one", remedy)
    name = method_name(match["name"])
    sparsity = _parse_sparsity(text, name, match["percent"])
    if match["scale"] is not None and not METHODS[name].scalable:
        raise SuiteError(f"method {name!r} takes no loss scale", f"write {name}{_suffix(sparsity)}")
    scale = _parse_loss_scale(match["scale"], row) if match["scale"] is not None else 1.0
    settings, precision = _parse_settings(match["set"] or "", row)
    return _Part(name, sparsity, scale, settings, precision)


def _parse_settings(text: str, row: str) -> tuple[Settings, str]:
    pairs = [item.partition("=") for item in text.split(",") if item]
    if any(not sign for _, sign, _ in pairs):
        raise SuiteError(f"{row!r} sets a hyper-parameter to nothing", "write NAME=VALUE in the brackets")
    found = {path.strip(): value.strip() for path, _, value in pairs}
    precision = found.pop(PRECISION, "auto")
    if precision not in PRECISIONS:
        raise did_you_mean(PRECISION, precision, list(PRECISIONS))
    return tuple(sorted(found.items())), "" if precision == "auto" else precision


def _parse_loss_scale(text: str, row: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) or float(text) == 0:
        raise SuiteError(f"{row!r} has no loss scale above 0", "write Transkimmer@2 for twice the pressure to skim")
    return float(text)


def _parse_sparsity(text: str, name: str, percent: str | None) -> float | None:
    sized = METHODS[name].sized
    if sized != (percent is not None):
        remedy = f"write {name}-s60 for 60 %" if sized else f"write {name}"
        raise SuiteError(f"method {text!r} {'lacks' if sized else 'takes no'} sparsity", remedy)
    if percent is None:
        return None
    if 0 < float(percent) < 1:
        raise SuiteError(
            f"{text!r} asks for {percent} percent", f"write {name}-s{float(percent) * 100:g} for {percent}"
        )
    return Budget(float(f"{float(percent):g}") / 100).sparsity  # no more digits than the name shows


def build(row: str, setting: Setting) -> Method:
    """The method of a row such as `VTrans-s60`, without what its model starts from.

    Args:
        row: see `parse_row`.
        setting: schedules, size and the like; see `sized_setting` for the size that the row names.

    Raises:
        SuiteError: a hyper-parameter that the row sets is unknown, or its value of another type or out of range.
    """
    parsed = parse_row(row)
    method = METHODS[parsed.method].build(setting)
    if parsed.precision:
        method = with_precision(method, cast("Precision", parsed.precision))
    for path, value in parsed.settings:
        _check_free(parsed.method, path)
        method = with_leaf(method, path.split("."), value, parsed.method)
    return method if parsed.loss_scale == 1 else method.scaled(parsed.loss_scale)


def sized_setting(row: str, setting: Setting) -> Setting:
    """The setting with the sparsity that a row names, in parameters of the encoder."""
    return replace(setting, budget=Budget(parse_row(row).sparsity or 0.5))


def with_settings(row: str, wanted: dict[str, str], setting: Setting) -> str:
    """The name of a row with hyper-parameters set in it, where it has the methods that they are of.

    Args:
        row: its name.
        wanted: values by METHOD.PATH.
        setting: that the row is built for, by which paths and values are checked and spelt.

    Raises:
        SuiteError: as `build`.
    """
    parsed = parse_row(row)
    own = dict(parsed.settings) | _of(parsed.method, wanted)
    base = with_settings(parsed.base, wanted, setting) if parsed.base else ""
    method = METHODS[parsed.method].build(sized_setting(row, setting))
    for path, text in own.items():
        _check_free(parsed.method, path)
        method = with_leaf(method, path.split("."), text, parsed.method)
    spelt = tuple(sorted((path, leaf_text(method, path.split("."))) for path in own))
    return _respelt(parsed, base, spelt, parsed.precision)


def _check_free(method: str, path: str) -> None:
    """Raise `SuiteError` for what the name of a row says already: its size, and how one-shot methods score units."""
    if path.endswith("budget.sparsity"):
        raise SuiteError(f"the name of a row says its sparsity, not {method}.{path}", f"write {method}-s60 for 60 %")
    if path in ("score", "score.importance"):
        raise SuiteError(f"the method says how units are scored, not {method}.{path}", "name another method")


def forced(row: str, precision: str) -> str:
    """The name of a row with all its schedules, and those of all that it starts from, in one precision."""
    parsed = parse_row(row)
    return _respelt(parsed, parsed.base, parsed.settings, "" if precision == "auto" else precision)


def _respelt(parsed: RowSpec, base: str, settings: Settings, precision: str) -> str:
    start = f"{_spelt(replace(_parse_part(base, base), precision=''))}+" if base else ""
    own = _Part(parsed.method, parsed.sparsity, parsed.loss_scale, (), "")
    return parse_row(start + _spelt(own) + _mark(settings, precision)).name


def sized(row: str, sparsity: float) -> str:
    """The name of a row whose static method removes another share than it names, if it names one."""
    static, *tokens = _without_alias(row)
    match = PART.fullmatch(static)
    if match is None:
        raise SuiteError(f"{row!r} is no name of a row", "write VTrans for example")
    Budget(sparsity)  # for its error
    if not tokens and match["percent"] and float(match["percent"]) / 100 != sparsity:
        raise SuiteError(f"{static} is not of sparsity {sparsity:g}", "leave out --sparsity, or the suffix")
    scale, settings = (f"@{match['scale']}" if match["scale"] else ""), (f"[{match['set']}]" if match["set"] else "")
    return parse_row("+".join([f"{match['name']}-s{sparsity * 100:g}{scale}{settings}", *tokens])).name


def refuse_unused(settings: dict[str, str], rows: Sequence[str]) -> None:
    """Raise `SuiteError` for a hyper-parameter of a method that no row has, itself or as what it starts from."""
    names = [name for row in rows for name in (row, parse_row(row).base) if name]
    methods = dict.fromkeys(parse_row(name).method for name in names)
    for path in settings:
        if path.partition(".")[0] not in methods:
            raise SuiteError(f"no row has {path}", f"name a method of the rows: {', '.join(methods)}")


def _of(method: str, wanted: dict[str, str]) -> dict[str, str]:
    prefix = f"{method}."
    return {path.removeprefix(prefix): text for path, text in wanted.items() if path.startswith(prefix)}


def parse_settings(items: Sequence[str]) -> dict[str, str]:
    """Values by METHOD.PATH, from texts `METHOD.PATH=VALUE`.

    Raises:
        SuiteError: a text is of another form.
    """
    found = dict[str, str]()
    for item in items:
        path, sign, value = item.partition("=")
        if not sign or "." not in path or not value:
            raise SuiteError(f"--set {item!r} sets nothing", "write --set CoFi.gates.rates.odds=0.1")
        name = f"{method_name(path.partition('.')[0])}.{path.partition('.')[2]}"
        if found.get(name, value) != value:
            raise SuiteError(f"--set gives {name} as {found[name]} and as {value}", "leave out one of them")
        found[name] = value
    return found
