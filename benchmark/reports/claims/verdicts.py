"""Verdicts: what the records say of each claim, corrected for how many comparisons are made."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from benchmark.grid.cells import Cell, plan
from benchmark.grid.suites import get_suite
from benchmark.records.schema import Record
from benchmark.records.store import Store
from benchmark.records.timings import timed
from benchmark.reports.attention.heads import kept_heads
from benchmark.reports.claims.commands import commands
from benchmark.reports.claims.declared import Claim, Condition
from benchmark.reports.claims.numbers import number, planned
from benchmark.reports.claims.quantities import HEADS, PLANNED, QUANTITIES
from benchmark.statistics.comparison import Load, loader
from benchmark.statistics.intervals import Interval, adjusted, mean_of
from vtrans.errors import SuiteError

Verdict = Literal[
    "supported", "contradicted", "inconclusive", "holds by construction", "fails by construction", "not run"
]
LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """A condition on one task, or on the mean of several.

    Attributes:
        condition, task, preset: what is compared; of a mean all tasks that it is of.
        found: the number, its `p` of being the bound; None where a row has no record.
        missing: cells that it lacks.
        records: files of its row.
        p: that of `found`, corrected for all comparisons.
    """

    condition: Condition
    task: str
    preset: str
    found: Interval | None
    missing: tuple[Cell, ...] = ()
    records: tuple[Path, ...] = ()
    p: float | None = None

    @property
    def verdict(self) -> Verdict:
        """By the corrected p and the side of the bound; a number that is the same in all seeds by its side alone."""
        if self.found is None:
            return "not run"
        holds = self.condition.holds(self.found.value)
        if self.condition.constructed:
            return "holds by construction" if holds else "fails by construction"
        return ("supported" if holds else "contradicted") if self._decided(self.found) else "inconclusive"

    def _decided(self, found: Interval) -> bool:
        """One seed, which has neither p nor deviation, decides nothing."""
        same = found.deviation == 0 and self.condition.quantity in QUANTITIES
        return same if self.p is None else self.p < LEVEL


@dataclass(frozen=True)
class Judged:
    """A claim with its comparisons."""

    claim: Claim
    comparisons: tuple[Comparison, ...]

    @property
    def verdict(self) -> Verdict:
        """All of its comparisons that were run have to hold; one that fails contradicts it.

        A claim about what is so by construction alone is neither: it holds or fails by construction.
        """
        found = [each.verdict for each in self.comparisons]
        of_conditions = [
            {c.verdict for c in self.comparisons if c.condition == condition} for condition in self.claim.conditions
        ]
        if "contradicted" in found:
            return "contradicted"
        if "fails by construction" in found:
            return "fails by construction"
        if any(each == {"not run"} for each in of_conditions):
            return "not run"
        if "inconclusive" in found:
            return "inconclusive"
        return "holds by construction" if set(found) <= {"holds by construction", "not run"} else "supported"

    @property
    def missing(self) -> list[Cell]:
        """Cells that it wants and that have no record, each once."""
        return list(dict.fromkeys(cell for each in self.comparisons for cell in each.missing))


def judge(claims: Sequence[Claim], root: Path, preset: str = "") -> list[Judged]:
    """Verdicts of claims on the records under a results folder; `preset` stands for those that claims name.

    Raises:
        SuiteError: no claim's rows were run.
    """
    load, known = loader(root), dict[Cell, Record | None]()
    found = [
        [
            found
            for condition in claim.conditions
            for found in _comparisons(condition, _preset(claim, condition, preset), root, load, known)
        ]
        for claim in claims
    ]
    flat = [each for comparisons in found for each in comparisons]
    measured = [each for each in flat if each.condition.quantity not in PLANNED]
    if measured and not any(each.found for each in measured):
        raise SuiteError(f"no claim's rows have records under {root}", _first_command(measured, preset, root))
    corrected = iter(_corrected(flat))
    return [
        Judged(claim, tuple(replace(each, p=next(corrected)) for each in comparisons))
        for claim, comparisons in zip(claims, found, strict=True)
    ]


def _corrected(flat: Sequence[Comparison]) -> list[float | None]:
    """p values, those of scores and heads apart from those of counts, whose sure wins would lend the former theirs."""
    raw = [
        each.found.p if each.found and each.found.seeds > 1 and not each.condition.constructed else None
        for each in flat
    ]
    counted = [each.condition.quantity in QUANTITIES for each in flat]
    families = [
        adjusted([p if each == kind else None for p, each in zip(raw, counted, strict=True)]) for kind in (0, 1)
    ]
    return [families[kind][i] for i, kind in enumerate(counted)]


def _preset(claim: Claim, condition: Condition, asked: str) -> str:
    """The preset that is asked for, but of what follows from schedules the claim's own: other schedules say nothing."""
    own = condition.preset or claim.preset
    return own if condition.quantity in PLANNED else asked or own


def _first_command(found: Sequence[Comparison], preset: str, root: Path) -> str:
    if missing := next((each.missing for each in found if each.missing), ()):
        command, hours = commands(missing, root)[0]
        return f"run {command}, about {hours:.1f} machine-hours"
    if measured := [each for each in found if each.records]:
        return f"measure what {measured[0].condition.text()} asks for, with `vtrans-bench time` or `probe`"
    return f"name another --preset: no claim is on a task of {preset}"


def _comparisons(
    condition: Condition, preset: str, root: Path, load: Load, known: dict[Cell, Record | None]
) -> list[Comparison]:
    each = [_compare(condition, task, preset, root, load, known) for task in condition.tasks]
    return each if condition.over == "each" else [_mean(each)]


def _mean(each: Sequence[Comparison]) -> Comparison:
    """One of all tasks that were run, of which the mean is taken."""
    of = [one for one in each if one.found] or list(each)
    found = [one.found for one in of if one.found]
    return replace(
        each[0],
        task="mean of " + ", ".join(one.task for one in of),
        found=mean_of(found, each[0].condition.bound) if found else None,
        missing=tuple(cell for one in each for cell in one.missing),
        records=tuple(path for one in each for path in one.records),
    )


def _compare(
    condition: Condition, task: str, preset: str, root: Path, load: Load, known: dict[Cell, Record | None]
) -> Comparison:
    ours = _cells(condition.suite, preset, condition.row, task, root)
    theirs = list[Cell]()
    if condition.compared:
        suite, row = condition.against_suite or condition.suite, condition.against or condition.row
        theirs = _cells(suite, preset, row, condition.against_task or task, root)
    if condition.quantity in PLANNED:
        return Comparison(condition, task, preset, planned(condition, ours, theirs))
    found = [_records(cells, root, known) for cells in (ours, theirs)]
    asked = (ours, theirs) if condition.compared else (ours,)
    if lacking := [cell for cells, each in zip(asked, found, strict=False) if not each for cell in cells]:
        return Comparison(condition, task, preset, None, tuple(lacking))
    asked_of_heads = condition.quantity in HEADS
    records = tuple(
        Store(root, cell.suite, preset).path(cell)
        for cell, record in found[0].items()
        if not asked_of_heads or kept_heads(record)
    )
    return Comparison(condition, task, preset, number(condition, task, found[0], found[1], root, load), (), records)


def _cells(suite: str, preset: str, row: str, task: str, root: Path) -> list[Cell]:
    """Cells of a row with all seeds: of the suite where it has it, else of the suite that it starts from.

    None where the suite has no such preset, or that no such task.
    """
    known = get_suite(suite).presets.get(preset)
    if known is None or task not in (*known.tasks, *known.more_tasks):
        return []
    own, home = plan(suite, preset, [row], [task]), get_suite(suite).home
    here = row in get_suite(suite).rows.get(preset, ()) or any(_path(cell, root).exists() for cell in own)
    return own if here or not home else plan(home, preset, [row], [task])


def _path(cell: Cell, root: Path) -> Path:
    return Store(root, cell.suite, cell.preset.name).path(cell)


def _records(cells: Sequence[Cell], root: Path, known: dict[Cell, Record | None]) -> dict[Cell, Record]:
    for cell in cells:
        if cell not in known:
            store = Store(root, cell.suite, cell.preset.name)
            record = store.shown([cell]).get(cell)
            known[cell] = record and timed(store, cell, record)
    return {cell: record for cell in cells if (record := known[cell])}
