"""What a claim says: read from `benchmark/claims/*.toml`, checked against what the suite knows."""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.grid.cells import check_row_fits
from benchmark.grid.rows import parse_row
from benchmark.grid.suites import get_suite
from benchmark.reports.claims.quantities import HEADS, METRIC, NAMES, PLANNED, QUANTITIES
from benchmark.tasks.registry import get_task
from vtrans.errors import SuiteError, did_you_mean

FOLDER = Path(__file__).parents[2] / "claims"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Condition(_Strict):
    """One comparison of a number with a bound, on each of some tasks.

    Attributes:
        quantity: a name of `NAMES`; `metric` for the task's first metric.
        row: row that it is of.
        against: row that it is compared with; empty for the number itself, or for the same row on another task.
        against_task: task on which it is compared; empty for the same one.
        against_quantity: number of that row, where it is not the same one; not a metric.
        relation: of the two: `difference`, or `ratio`.
        tasks: that it is of.
        over: whether each task is a comparison of its own, or their mean is one.
        at_least, at_most: the bound; one of them.
        suite: of the row.
        against_suite: of the row that it is compared with; empty for the same one.
        preset: of both rows; empty for the claim's own.
        by_construction: whether the number is as it is by how rows are made or counted, so that it is no evidence.
    """

    quantity: str
    row: str
    against: str = ""
    against_task: str = ""
    against_quantity: str = ""
    relation: Literal["difference", "ratio"] = "difference"
    over: Literal["each", "mean"] = "each"
    tasks: tuple[str, ...] = Field(min_length=1)
    at_least: float | None = Field(default=None, allow_inf_nan=False)
    at_most: float | None = Field(default=None, allow_inf_nan=False)
    suite: str = "glue"
    against_suite: str = ""
    preset: str = ""
    by_construction: bool = False

    @property
    def bound(self) -> float:
        """The number that it is held to."""
        found = self.at_least if self.at_least is not None else self.at_most
        assert found is not None, "a condition has a bound"
        return found

    @property
    def constructed(self) -> bool:
        """Whether nothing is measured: by declaration, or because schedules alone decide it."""
        return self.by_construction or self.quantity in PLANNED

    @property
    def upward(self) -> bool:
        """Whether more is what the claim says."""
        return self.at_least is not None

    def holds(self, value: float) -> bool:
        """Whether a number is on the claim's side of the bound, or on it."""
        return value >= self.bound if self.upward else value <= self.bound

    @model_validator(mode="after")
    def _one_bound(self) -> "Condition":
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a condition gives at_least or at_most")
        if not self.compared and (self.relation == "ratio" or self.against_suite or self.against_quantity):
            raise ValueError("relation, against_suite and against_quantity ask for against or against_task")
        same = self.against in ("", self.row) and self.against_suite in ("", self.suite)
        same = same and self.against_quantity in ("", self.quantity)
        if self.compared and same and (not self.against_task or self.against_task in self.tasks):
            raise ValueError("a row is compared with itself")
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError("a task is named twice")
        return self

    def text(self) -> str:
        """What is compared, for people."""
        sign = {"difference": "−", "ratio": "÷"}[self.relation]
        other = " on ".join(filter(None, (self.against or "the same", self.against_task)))
        other += f" of {self.against_suite}" if self.against_suite else ""
        other += f" ({self.against_quantity})" if self.against_quantity else ""
        of = f"{self.row} {sign} {other}" if self.compared else self.row
        return f"{self.quantity} of {of} {'≥' if self.upward else '≤'} {self.bound:g}"

    @property
    def compared(self) -> bool:
        """Whether it is of two rows, or of one on two tasks."""
        return bool(self.against or self.against_task)


class Claim(_Strict):
    """One claim.

    Attributes:
        id: short name.
        paper, where: its source.
        statement: what it says, in words of ours.
        differs: what of the measured setting is not that of the paper.
        preset: of its conditions, unless one names another.
        conditions: all of them have to hold.
    """

    id: str = Field(min_length=1)
    paper: str
    where: str
    statement: str
    differs: str
    preset: str = "small"
    conditions: tuple[Condition, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_once(self) -> "Claim":
        if len(set(self.conditions)) < len(self.conditions):
            raise ValueError("a condition is there twice")
        return self


class _File(_Strict):
    claim: tuple[Claim, ...] = ()


def load(where: Path = FOLDER) -> list[Claim]:
    """All claims of a TOML file or of a folder of them.

    Raises:
        SuiteError: there is none; a file does not fit, or names a row, task, preset or quantity that there is not;
            says which claim.
    """
    paths = sorted(where.glob("*.toml")) if where.is_dir() else [where]
    claims = [claim for path in paths for claim in _read(path)]
    if not claims:
        raise SuiteError(f"no [[claim]] in {where}", "write one as in docs/suites.md, claims of your own")
    names = [claim.id for claim in claims]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SuiteError(f"two claims are called {twice!r}", "rename one")
    return claims


def _read(path: Path) -> list[Claim]:
    try:
        claims = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).claim
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path} cannot be read ({error})", "name a TOML file, or a folder of them") from None
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"{path} is no TOML ({error})", "mend it") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SuiteError(f"{path} does not fit ({where}: {first['msg']})", "mend it") from None
    for claim in claims:
        for condition in claim.conditions:
            try:
                _check(claim, condition)
            except SuiteError as error:
                raise SuiteError(f"claim {claim.id!r} of {path.name}: {error.parts[0]}", error.parts[1]) from None
    return list(claims)


def _check(claim: Claim, condition: Condition) -> None:
    for name in (condition.quantity, condition.against_quantity or condition.quantity):
        if name not in NAMES:
            raise did_you_mean("quantity", name, list(NAMES))
    if condition.against_quantity and not {condition.quantity, condition.against_quantity} <= set(QUANTITIES):
        raise SuiteError("`against_quantity` is for numbers of records", "ask for others than scores, heads and plans")
    if condition.quantity in HEADS and (condition.compared or condition.over == "mean"):
        raise SuiteError(f"{condition.quantity!r} is of one row and each task", "leave out `against` and `over`")
    if condition.quantity == METRIC and condition.against_task:
        raise SuiteError("scores of two tasks are not compared", "leave out `against_task`, or ask another quantity")
    preset, other = condition.preset or claim.preset, condition.against_suite or condition.suite
    for task in condition.tasks:
        _check_cell(condition.suite, preset, condition.row, task)
        if condition.compared:
            _check_cell(other, preset, condition.against or condition.row, condition.against_task or task)


def _check_cell(suite: str, preset: str, row: str, task: str) -> None:
    """Raise `SuiteError` where a suite has no such preset, its preset no such task, or the row does not fit it."""
    presets = get_suite(suite).presets
    if preset not in presets:
        raise did_you_mean(f"preset of {suite}", preset, list(presets))
    known = (*presets[preset].tasks, *presets[preset].more_tasks)
    if task not in known:
        raise did_you_mean(f"task of {suite} under {preset}", task, list(known))
    parse_row(row)
    check_row_fits(row, get_task(task))
