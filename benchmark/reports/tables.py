"""Tables from complete records, and from nothing else: markdown, CSV and LaTeX (booktabs)."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmark.common.files import write_atomically
from benchmark.grid.cells import Cell, plan
from benchmark.grid.suites import get_preset, get_suite
from benchmark.records.schema import REGIMES, Outcome, Record
from benchmark.records.store import CUT, Store, read_record
from benchmark.records.timings import timed
from benchmark.reports import differences, kept, zero_shot
from benchmark.reports.notes import notes
from benchmark.reports.rows import MISSING, SeedStats, TableRow, method_of, size_in, table_rows
from benchmark.statistics.comparison import Load, loader
from benchmark.tasks.kind import kind_of
from benchmark.tasks.metrics import digits
from benchmark.tasks.registry import TASKS, get_task
from vtrans.errors import SuiteError

SHARES = ("encoder", "all")  # denominators of the parameters kept


def metrics_of(task: str, table: Sequence[TableRow]) -> list[str]:
    """The task's metrics, and those of further tasks that some record has."""
    found = [name for line in table for r in line.records if r.outcome for name in r.outcome.metrics]
    return list(dict.fromkeys([*get_task(task).columns, *found]))


@dataclass(frozen=True)
class Column:
    """A column of numbers: its heading, what stands in a row, and how it is printed."""

    heading: str
    stats: Callable[[TableRow], SeedStats | None]
    digits: int = 2
    suffix: str = ""
    spread: bool = False

    def cell(self, row: TableRow) -> str:
        """The number of a row, or a dash."""
        found = self.stats(row)
        return MISSING if found is None else found.text(self.digits, self.suffix, self.spread)


def columns(task: str, rows: Sequence[TableRow]) -> list[Column]:
    """All columns of a task's table but the first, which names the rows."""
    # Windows of running text all have one length: no padding regime differs from another.
    regimes = REGIMES[:1] if kind_of(get_task(task)).running_text else REGIMES
    batches = _batches(rows)
    found = [Column(m, partial(TableRow.metric, name=m), digits(m), spread=True) for m in metrics_of(task, rows)]
    found += [Column(f"{which} %", _over(lambda o, w: 100 * o.parameters.kept(w), which), 1) for which in SHARES]
    found += [Column(f"MACs speed-up {r}", _over(lambda o, r: o.macs.speedup(r), r), suffix="×") for r in regimes]
    found += [
        Column(f"time speed-up b{batch}", _over(lambda o, i: o.time_speedup(i), index), suffix="×")
        for index, batch in enumerate(batches)
    ]
    found += [
        Column(f"efficiency b{batch}", _over(lambda o, i: o.efficiency(i), index))
        for index, batch in enumerate(batches)
    ]
    if any(r.outcome and "generation" in r.outcome.report for row in rows for r in row.records):
        found += [Column(f"{part} speed-up", _over(_generated, part), suffix="×") for part in GENERATION]
    if any(row.cost(row.dense) for row in rows):
        found.append(Column("cost in fine-tunings", lambda row: row.cost(row.dense), spread=True))
    return [*found, Column("cost in VTrans runs", lambda row: row.cost(row.reference), spread=True)]


def _generated(outcome: Outcome, part: str) -> float | None:
    found = outcome.report.get("generation")
    return float(found[part]["speedup"][1]) if found else None


def _over(function: Callable[[Outcome, Any], float | None], argument: Any) -> Callable[[TableRow], SeedStats | None]:
    return lambda row: row.over(lambda outcome: function(outcome, argument))


def _batches(rows: Sequence[TableRow]) -> tuple[int, int]:
    """Batches that latency was measured at."""
    measured = [r.outcome.latency for row in rows for r in row.records if r.outcome and r.outcome.latency]
    return (measured[0][0]["batch"], measured[0][1]["batch"]) if measured else (1, 32)


GENERATION = ("prefill", "decode")
LEGEND = (
    "Metrics in percent, perplexity and bits per byte as they are; mean ± sample standard deviation over seeds. "
    "encoder %, all %: parameters kept, without and with embeddings, pooler and head; predictors of token methods "
    "count. Speed-ups are of the dense model over the row, so that more is better. MACs speed-up: "
    "multiply-accumulates, by fvcore on the materialised model; unpadded: each row at its own length; batch: padded "
    "to the longest row of 32; sequence: padded to a fixed length. Rows that drop tokens are counted by the tokens "
    "of the evaluation pass; they compute no padding but in the scores of attention, so that their batch and "
    "sequence columns also gain what the dense model pays for padding. time speed-up: median measured, in turns, "
    "fp32, at real lengths, b1 in batches of one and the other in larger ones. efficiency: time speed-up over MACs "
    "speed-up, unpadded for b1 and batch for the other. cost: wall-clock of training the row, so that less is "
    "better, in fine-tunings of the dense model (the teacher, which every row needs besides) and in runs of VTrans "
    "at the same sparsity, seed by seed, where both ran on machines of one kind; that of the model a row starts "
    "from counts, too. Clocks run on while other programs share the machine: a cost whose deviation is large tells "
    "little. † fewer seeds were run than the preset has. – not measured, or nothing to compare with."
)


RANKS = (
    "Ranks compare rows of one size. A task counts if it has at least three of them, a row if all these tasks have "
    "it; equal scores share a rank. P(better than random): the share of pairs of runs, one of the row and one of "
    "random pruning, in which the row's does better, mean over tasks. Intervals over seeds, drawn anew within each "
    "task; where every pair is on one side, 1.00 or 0.00 is what was seen, and has none."
)


def grid(task: str, table: Sequence[TableRow]) -> tuple[list[str], list[list[str]]]:
    """Headings and formatted cells of the rows that have a record."""
    found = columns(task, table)
    heads = ["method", *(column.heading for column in found)]
    return heads, [[row.label, *(column.cell(row) for column in found)] for row in table if row.records]


def not_run(table: Sequence[TableRow]) -> str:
    """The rows that have no record, as a sentence; empty where there is none, and of trials, which are of few rows."""
    found = [row.row for row in table if not row.records]
    trials = any(r.data and r.data.split == "dev" for row in table for r in row.records)
    return f"Not run: {', '.join(found)}." if found and not trials else ""


def markdown(suite: str, preset: str, tables: dict[str, list[TableRow]], load: Load) -> str:
    """All tasks as one markdown document; `load` reads the predictions of a record."""
    parts = [f"# {suite}, {preset}: {get_preset(preset, suite).summary}", LEGEND]
    for task, table in tables.items():
        heads, rows = grid(task, table)
        records = [r for line in table for r in line.records]
        about = notes(task, records, table[0].dense)
        parts += [f"## {task}", about, tabulate(rows, heads, "github", disable_numparse=True), not_run(table)]
    parts += ["# Differences", differences.ABOUT]
    for task, table in tables.items():
        parts += [f"## {task}: differences", differences.section(task, table, load)]
    for task, table in tables.items():
        parts += [f"# {task}: zero-shot", zero_shot.ABOUT, asked] if (asked := zero_shot.section(table, load)) else []
    if places := differences.ranks(tables):
        parts += ["# Ranks over tasks", RANKS, places]
    return "\n\n".join(filter(None, parts)) + "\n"


def latex(tables: dict[str, list[TableRow]]) -> str:
    """All tasks as booktabs tabulars."""
    parts = []
    for task, table in tables.items():
        heads, rows = grid(task, table)
        body = str(tabulate(rows, heads, "latex_booktabs", disable_numparse=True))
        parts.append(f"% {task}. {not_run(table)}".rstrip() + f"\n{body}")
    text = "\n\n".join(parts) + "\n"
    for sign, command in {"×": "$\\times$", "±": "$\\pm$", "†": "$\\dagger$", "–": "--"}.items():
        text = text.replace(sign, command)
    return text


def csv_text(tables: dict[str, list[TableRow]]) -> str:
    """One line a record, unrounded: for other programs."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    heads = ["task", "row", "seed", "metric", "value", "encoder_kept", "all_kept", "sparsity_target", "sparsity_real"]
    times = [f"time_b{batch}" for batch in _batches([line for table in tables.values() for line in table])]
    writer.writerow([*heads, *(f"macs_speedup_{r}" for r in REGIMES), *times, "seconds", "key"])
    for task, table in tables.items():
        for record in (r for line in table for r in line.records):
            writer.writerows(_csv_rows(task, record))
    return stream.getvalue()


def _csv_rows(task: str, record: Record) -> list[list[Any]]:
    o = record.outcome
    assert o is not None
    target = [o.sparsity.target, o.sparsity.real] if o.sparsity else ["", ""]
    shares = [round(100 * o.parameters.kept(which), 4) for which in SHARES]
    speeds = [*(round(o.macs.speedup(r), 4) for r in REGIMES), o.time_speedup(0), o.time_speedup(1)]
    tail = [*shares, *target, *speeds, round(sum(o.seconds.values()), 2), record.key]
    return [[task, record.row, record.seed, metric, value, *tail] for metric, value in o.metrics.items()]


class NothingRun(SuiteError):
    """No cell has a complete record."""


def build(store: Store, cells: Sequence[Cell]) -> dict[str, list[TableRow]]:
    """Lines of each task that has a complete record.

    Raises:
        NothingRun: there is no complete record at all.
        SuiteError: records of one task do not belong together.
    """
    records = {cell: timed(store, cell, record) for cell, record in store.shown(list(cells)).items()}
    if not records:
        again = f"vtrans-bench run {store.folder.name} --preset {store.preset}"
        raise NothingRun(f"no complete record in {store.runs}", f"run the suite first: {again}")
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    for task in tasks:
        refuse_mixed(task, [r for cell, r in records.items() if cell.task == task])
    teachers = teachers_of(store, cells)
    tables = {task: table_rows(records, [c for c in cells if c.task == task], teachers) for task in tasks}
    return {task: table for task, table in tables.items() if any(line.records for line in table)}


def teachers_of(store: Store, cells: Sequence[Cell]) -> dict[Cell, Record]:
    """Complete records of the dense models that cells start from: of the suite that they are cells of, or of ours."""
    found: dict[Cell, Record] = {}
    for teacher in dict.fromkeys(cell.teacher for cell in cells):
        own = replace(teacher, suite=store.suite)
        records = [*store.of(teacher).shown([teacher]).values(), *store.shown([own]).values()]
        found |= {teacher: records[0]} if records else {}
    return found


def refuse_mixed(task: str, records: Sequence[Record]) -> None:
    """Raise `SuiteError` where records of one task come from different data or models."""
    sources = {(r.data.digest, r.model["sha256"]) for r in records if r.data and r.model}
    if len(sources) > 1:
        raise SuiteError(
            f"records of {task} come from {len(sources)} different data sets or models", "keep those of one"
        )


def recorded_cells(store: Store, suite: str, preset: str, split: str = "validation") -> list[Cell]:
    """The preset's cells, and those of further rows and seeds that have a record under the current config."""
    cells = plan(suite, preset, split=split)
    known = {(cell.task, cell.row, cell.seed) for cell in cells}
    for path in sorted(store.runs.glob("*.json")):
        match = re.fullmatch(r"(.+?)--(.+?)--(\w+)--seed(\d+)--(\w+)", path.stem)
        if match and match[3] == split and (match[1], match[2], int(match[4])) not in known and match[1] in TASKS:
            row = _whole_row(path) if match[2].endswith(CUT) else match[2]
            cell = Cell(suite, get_preset(preset, suite), match[1], row, int(match[4]), split)
            cells += [cell] if (match[1], row, cell.seed) not in known and _key_of(cell) == match[5] else []
    tasks, own = list(dict.fromkeys(cell.task for cell in cells)), get_suite(suite).rows[preset]
    rows = in_order(own, [cell.row for cell in cells if cell.row not in own])
    return sorted(cells, key=lambda cell: (tasks.index(cell.task), rows.index(cell.row)))


def _whole_row(path: Path) -> str:
    """The row of a record whose name has it cut; empty where the record is damaged."""
    try:
        return read_record(path).row
    except SuiteError:
        return ""


def in_order(rows: Sequence[str], more: Sequence[str]) -> list[str]:
    """The rows, and more of them, each once: among those of its method by size, or else at the end."""
    found = list(rows)
    for row in dict.fromkeys(more):
        kin = [place for place, each in enumerate(found) if method_of(each) == method_of(row)]
        smaller = [place for place in kin if size_in(found[place]) < size_in(row)]
        found.insert(smaller[-1] + 1 if smaller else kin[0] if kin else len(found), row)
    return found


def _key_of(cell: Cell) -> str:
    """The cell's key; empty where its row names a method or hyper-parameter that is gone: the record is stale."""
    try:
        return cell.key
    except SuiteError:
        return ""


def write(store: Store, preset: str, cells: Sequence[Cell]) -> list[Path]:
    """Write `table.md`, `.csv` and `.tex` (`table-dev.*` for held-out rows), and `kept.md`; return their paths."""
    tables = build(store, cells)
    name = "table" if cells[0].split == "validation" else f"table-{cells[0].split}"
    text = markdown(cells[0].suite, preset, tables, loader(store.root))
    texts = {"md": text, "csv": csv_text(tables), "tex": latex(tables)}
    files = {f"{name}.{suffix}": content for suffix, content in texts.items()}
    if units := kept.markdown(cells[0].suite, preset, tables):
        files[name.replace("table", "kept") + ".md"] = units
    for file, content in files.items():
        write_atomically(store.folder / file, content)
    return [store.folder / file for file in files]
