"""An ablation axis as a table and a figure: scores at each value, and their difference to the method as it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmark.common.files import write_atomically
from benchmark.grid.axes import SIZES, Axis, Point, get_axis
from benchmark.grid.rows import parse_row
from benchmark.grid.suites import get_preset
from benchmark.records.schema import Record
from benchmark.records.store import Store
from benchmark.reports.differences import metric_of
from benchmark.reports.notes import notes
from benchmark.reports.rows import MISSING
from benchmark.reports.tables import recorded_cells
from benchmark.statistics.comparison import Load, difference, loader, score
from benchmark.statistics.intervals import Interval
from vtrans.errors import SuiteError

ABOUT = (
    "Scores with 95 % intervals over seeds and examples (of one seed over examples alone), and paired differences to "
    "the row that is as its method is; * the interval excludes 0, without correction for the number of rows."
)


@dataclass(frozen=True)
class Line:
    """One value at one size on one task."""

    task: str
    size: int
    point: Point
    score: Interval
    against: Interval | None
    records: tuple[Record, ...]


def write(name: str, root: Path, preset: str) -> list[Path]:
    """Write `axis-NAME.md` and `axis-NAME.svg` beside the records of the suite `ablations`; return their paths.

    Raises:
        SuiteError: none of the axis's rows has a record.
    """
    axis, store = get_axis(name), Store(root, "ablations", get_preset(preset).name)
    found = lines(axis, root, preset)
    if not found:
        command = f"vtrans-bench run ablations --preset {preset} --axis {name}"
        raise SuiteError(f"no row of the axis {name} has a record in {store.folder}", f"run {command}")
    paths = [store.folder / f"axis-{name}.{suffix}" for suffix in ("md", "svg")]
    write_atomically(paths[0], markdown(name, preset, found))
    draw(paths[1], axis, found)
    return paths


def lines(axis: Axis, root: Path, preset: str) -> list[Line]:
    """Lines of all tasks, sizes and points that have a record, of the preset's seeds or others."""
    load, found, known = loader(root), list[Line](), _recorded(axis, root, preset)
    for task in dict.fromkeys(task for task, _ in known):
        for size in SIZES:
            records = {point: known.get((task, parse_row(point.row(size)).name), []) for point in axis.points}
            found += [_line(task, size, axis, point, records, load) for point in axis.points if records[point]]
    return found


def _line(task: str, size: int, axis: Axis, point: Point, records: dict[Point, list[Record]], load: Load) -> Line:
    metric, default = metric_of(task), axis.default(point)
    own = score(metric, records[point], load)
    assert own is not None, "a row with records has a score"
    against = None if default == point else difference(metric, records[point], records[default], load)
    return Line(task, size, point, own, against, tuple(records[point]))


def _recorded(axis: Axis, root: Path, preset: str) -> dict[tuple[str, str], list[Record]]:
    """Records by task and row; a row that is as its method is lies in the suite `glue`."""
    found: dict[tuple[str, str], list[Record]] = {}
    for suite, plain in (("glue", True), ("ablations", False)):
        store, rows = Store(root, suite, preset), {parse_row(row).name for row in axis.rows(plain)}
        cells = [cell for cell in recorded_cells(store, suite, preset) if cell.row in rows]
        for cell, record in store.shown(cells).items():
            found.setdefault((cell.task, cell.row), []).append(record)
    return found


def markdown(name: str, preset: str, found: Sequence[Line]) -> str:
    """The table."""
    heads = ["task", "size", "value", "row", "seeds", "score [95 %]", "− default"]
    rows = [
        [
            line.task,
            f"{line.size} %",
            line.point.label,
            line.point.row(line.size),
            str(line.score.seeds),
            line.score.text(),
            MISSING if line.against is None else line.against.text(sign=True) + " *" * line.against.excludes_zero,
        ]
        for line in found
    ]
    table = tabulate(rows, heads, "github", disable_numparse=True)
    about = [
        f"{task}. {notes(task, [record for line in found if line.task == task for record in line.records])}"
        for task in dict.fromkeys(line.task for line in found)
    ]
    return "\n\n".join([f"# {name}: {get_axis(name).summary}", f"Preset {preset}. {ABOUT}", *about, table]) + "\n"


def draw(path: Path, axis: Axis, found: Sequence[Line]) -> None:
    """One panel a task, one line a size and method, bars for intervals."""
    from benchmark.reports.figures import charts

    panels = {
        task: charts.sweep(sweep_points(found, task), axis.summary, metric_of(task))
        for task in dict.fromkeys(line.task for line in found)
    }
    write_atomically(path, charts.printed(charts.side_by_side(panels), "svg"))


def sweep_points(found: Sequence[Line], task: str) -> list[dict[str, Any]]:
    """Points of a task's figure; `end` is a group's name at its last point."""
    own = {(line.point.method, line.size): line for line in found if line.task == task}
    return [
        {
            "label": line.point.label,
            "group": (group := f"{line.point.method}, {line.size} %"),
            "end": group if own[line.point.method, line.size] is line else "",
            "y": line.score.value,
            "low": line.score.low,
            "high": line.score.high,
        }
        for line in found
        if line.task == task
    ]
