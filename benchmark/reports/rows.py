"""Rows of tables: the records of one method at one size on one task, and their numbers over seeds."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from benchmark.grid.cells import Cell
from benchmark.records.schema import Outcome, Record

MISSING = "–"
REFERENCES = ("VTrans", "VTrans-total", "VTrans-agnostic")


def method_of(row: str) -> str:
    """A row's name without its sizes."""
    return re.sub(r"-s[\d.]+", "", row)


def size_in(row: str) -> float:
    """The first size that a row's name has, in percent removed; 0 without one."""
    return float(found[1]) if (found := re.search(r"-s([\d.]+)", row)) else 0.0


@dataclass(frozen=True)
class SeedStats:
    """A number over seeds."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return mean(self.values)

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over seeds; None with one seed."""
        return stdev(self.values) if len(self.values) > 1 else None

    def text(self, digits: int, suffix: str = "", spread: bool = False) -> str:
        """Formatted mean, with `± deviation` where asked for and there is one."""
        deviation = f" ± {self.deviation:.{digits}f}" if spread and self.deviation is not None else ""
        return f"{self.mean:.{digits}f}{suffix}{deviation}"


@dataclass(frozen=True)
class TableRow:
    """One row of a table: the records of one method at one size on one task, over seeds.

    `dense` and `reference` are the records of the dense row, and of VTrans at the same sparsity, with the
    same seeds; either may be empty.
    """

    row: str
    records: tuple[Record, ...]
    dense: tuple[Record, ...]
    reference: tuple[Record, ...]
    expected: int

    @property
    def label(self) -> str:
        """Row name; a dagger marks a row that lacks seeds."""
        return self.row if len(self.records) >= self.expected else f"{self.row} †"

    def over(self, function: Callable[[Outcome], float | None]) -> SeedStats | None:
        """`function` of each seed's outcome; None where no record has it."""
        found = [function(r.outcome) for r in self.records if r.outcome is not None]
        values = tuple(value for value in found if value is not None)
        return SeedStats(values) if values else None

    def metric(self, name: str) -> SeedStats | None:
        """A metric over seeds; None where no record has it."""
        values = tuple(r.outcome.metrics[name] for r in self.records if r.outcome and name in r.outcome.metrics)
        return SeedStats(values) if values else None

    def cost(self, against: tuple[Record, ...]) -> SeedStats | None:
        """Ratio of training wall-clock to that of `against`, seed by seed, where both ran on machines of one kind."""
        base = {(r.seed, _kind_of_machine(r)): sum(r.outcome.seconds.values()) for r in against if r.outcome}
        pairs = [
            (sum(r.outcome.seconds.values()), base[r.seed, _kind_of_machine(r)])
            for r in self.records
            if r.outcome and base.get((r.seed, _kind_of_machine(r)))
        ]
        return SeedStats(tuple(a / b for a, b in pairs)) if pairs else None


def _kind_of_machine(record: Record) -> tuple[object, ...]:
    """What has to be the same where seconds are compared."""
    hardware = record.provenance.hardware
    return tuple(hardware.get(name) for name in ("processor", "capability", "threads", "gpu"))


def is_plain(row: str) -> bool:
    """Whether a row is as its method is, without settings of its own in brackets."""
    return "[" not in row


def table_rows(
    records: dict[Cell, Record], cells: Sequence[Cell], teachers: dict[Cell, Record] | None = None
) -> list[TableRow]:
    """Rows of one task, in the order of the cells; those without any record are kept.

    `teachers` are the records of the dense cells that the cells start from, which may be those of another suite.
    """
    by_row: dict[str, list[Record]] = {cell.row: [] for cell in cells}
    dense: dict[str, list[Record]] = {cell.row: [] for cell in cells}
    for cell in cells:
        by_row[cell.row] += [records[cell]] if cell in records else []
        dense[cell.row] += [teachers[cell.teacher]] if teachers and cell.teacher in teachers else []
    seeds = len(cells[0].preset.seeds) if cells else 0
    return [
        TableRow(row, tuple(found), tuple(dense[row]), tuple(_reference(row, by_row)), seeds)
        for row, found in by_row.items()
    ]


def _reference(row: str, by_row: dict[str, list[Record]]) -> list[Record]:
    """Records of VTrans at the same sparsity: of the plain one, or of the suite's own."""
    size = row.rpartition("-s")[2]
    return next((by_row[n] for n in (f"{name}-s{size}" for name in REFERENCES) if n in by_row), [])
