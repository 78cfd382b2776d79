"""Rows against one other row, or against a method at each row's own size: scores, differences, corrected p."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tabulate import tabulate

from benchmark.common.files import write_atomically
from benchmark.records.schema import Record
from benchmark.records.store import Store
from benchmark.reports import tables
from benchmark.reports.differences import metric_of, text
from benchmark.reports.rows import MISSING, TableRow, method_of, size_in
from benchmark.statistics.comparison import Load, difference, loader, score
from benchmark.statistics.intervals import Interval, adjusted, p_text
from benchmark.tasks.metrics import digits
from vtrans.errors import SuiteError, did_you_mean

DENSE = "dense"
LONGEST = 150  # characters of a row in the name of a file: settings in brackets have no end
ABOUT = (
    "Both scores, and their difference, are of the seeds that both rows have, paired seed by seed and example by "
    "example; of perplexity, negative is better. Intervals are of 95 %, over seeds and examples; of one seed over "
    "examples alone (¹), of rows without kept predictions over seeds alone (²). * the interval excludes 0. p is that "
    "of the difference being 0, two-sided; beside it stands p corrected for all lines here (Benjamini and Hochberg)."
)

HEADS = ("task", "row", "against", "seeds × n", "score", "score of against", "difference [95 %]", "p", "p, corrected")


@dataclass(frozen=True)
class Line:
    """A row against another on one task."""

    task: str
    row: str
    other: str
    scores: tuple[Interval | None, Interval | None]
    difference: Interval
    p: float | None = None

    def cells(self) -> list[str]:
        """What stands in the table."""
        places = digits(metric_of(self.task))
        n = f"{self.difference.seeds} × {self.difference.examples or MISSING}"
        both = [text(each, places, sign=False) for each in self.scores]
        ps = map(_text_of_p, (self.difference.p, self.p))
        return [self.task, self.row, self.other, n, *both, text(self.difference, places, sign=True), *ps]


def _text_of_p(p: float | None) -> str:
    return MISSING if p is None else p_text(p)


def lines(found: dict[str, list[TableRow]], rows: Sequence[str], against: str, load: Load) -> list[Line]:
    """One line for each task and row that has a seed in common with what it is compared with.

    Args:
        found: rows of each task.
        rows: names of rows, or of methods for all of their sizes; none for all rows.
        against: a row, or a method, whose row of the same size is taken.
        load: reads predictions.

    Raises:
        SuiteError: no record has one of these names, or no two rows share size, task and seed.
    """
    _check(found, [*rows, against])
    pairs = [(task, *pair) for task, table in found.items() for pair in _pairs(table, rows, against)]
    known = [line for pair in pairs if (line := _line(*pair, load))]
    if not known:
        wanted = ", ".join(rows) or "no row"
        raise SuiteError(
            f"{wanted} and {against} share no task, size and seed with records",
            "name rows that do: the tables list them",
        )
    corrected = adjusted([line.difference.p for line in known])
    return [replace(line, p=p) for line, p in zip(known, corrected, strict=True)]


def _check(found: dict[str, list[TableRow]], names: Sequence[str]) -> None:
    recorded = {row.row for table in found.values() for row in table if row.records}
    recorded |= {DENSE for table in found.values() for row in table if row.dense}  # of another suite, perhaps
    known = sorted(recorded | {method_of(row) for row in recorded})
    for name in names:
        if name not in known:
            raise did_you_mean("row with records", name, known)


def _pairs(table: Sequence[TableRow], rows: Sequence[str], against: str) -> Iterator[tuple[TableRow, TableRow]]:
    """Rows that are asked for, each with the one that it is compared with."""
    for row in table:
        if rows and row.row not in rows and method_of(row.row) not in rows:
            continue
        other = _other(table, row, against)
        if other and other.row != row.row:
            yield row, other


def _other(table: Sequence[TableRow], row: TableRow, against: str) -> TableRow | None:
    """The row of that name, or that method's row of the same size."""
    if against == DENSE:
        return replace(row, row=DENSE, records=row.dense)
    same = [o for o in table if method_of(o.row) == against and size_in(o.row) == size_in(row.row)]
    return next((o for o in table if o.row == against), None) or next(iter(same), None)


def _line(task: str, row: TableRow, other: TableRow, load: Load) -> Line | None:
    metric, both = metric_of(task), _shared(row.records, other.records)
    found = difference(metric, *both, load) if both[0] else None
    scores = (score(metric, both[0], load), score(metric, both[1], load))
    return Line(task, row.row, other.row, scores, found) if found else None


def _shared(ours: Sequence[Record], theirs: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Records of the seeds that both have."""
    seeds = {r.seed for r in ours} & {r.seed for r in theirs}
    return [r for r in ours if r.seed in seeds], [r for r in theirs if r.seed in seeds]


def markdown(suite: str, preset: str, against: str, found: Sequence[Line]) -> str:
    """The page."""
    table = tabulate([line.cells() for line in found], HEADS, "github", disable_numparse=True)
    return "\n\n".join([f"# {suite}, {preset}: against {against}", ABOUT, str(table)]) + "\n"


def write(store: Store, rows: Sequence[str], against: str, tasks: Sequence[str], split: str = "validation") -> Path:
    """Write `against-NAME.md` beside the tables; return its path. See `lines` for what it raises."""
    suite, preset = store.suite, store.preset
    cells = [c for c in tables.recorded_cells(store, suite, preset, split) if not tasks or c.task in tasks]
    if absent := [task for task in tasks if task not in {cell.task for cell in cells}]:
        raise SuiteError(f"no record is of the task {absent[0]}", f"see the tables of {suite} under {preset}")
    found = lines(tables.build(store, cells), rows, against, loader(store.root))
    name = against if split == "validation" else f"{against}-{split}"
    path = store.folder / f"against-{name[:LONGEST]}.md"
    write_atomically(path, markdown(suite, preset, against, found))
    return path
