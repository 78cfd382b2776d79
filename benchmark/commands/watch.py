"""A grid as it runs: how many cells are done, which run, and where their curves stand."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmark.grid.cells import Cell, plan
from benchmark.grid.suites import SUITES
from benchmark.records.store import Store
from benchmark.runs.curves import last, running, seconds_left
from benchmark.runs.progress import duration
from vtrans.errors import SuiteError

SHOWN = ("expected", "real", "target", "accuracy", "task", "prediction", "layer", "constraint")
PAGE_EVERY = 30.0  # seconds, of the page's own refreshing


Known = dict[tuple[Path, int], str]  # states of records, by their paths and when they were written


def board(root: Path, preset: str, suites: list[str], known: Known) -> Table:
    """A table of the suites: cells by state, and of each cell that runs its stage, step, numbers and time left.

    States that are `known` are not read again, and new ones are added.
    """
    table = Table(title=f"{preset} in {root}", title_justify="left")
    for head in ("suite", "cells", "running", "stage", "numbers", "left"):
        table.add_column(head, overflow="fold")
    for suite in suites:
        store = Store(root, suite, preset)
        cells_of = plan(suite, preset, split=SUITES[suite].split or "validation")
        counts = Counter(_state(store, cell, known) for cell in cells_of)
        text = ", ".join(f"{number} {state}" for state, number in counts.items())
        cells: list[dict[str, Any] | None] = [*running(store.folder / "work")] or [None]
        for place, cell in enumerate(cells):
            table.add_row(suite if not place else "", text if not place else "", *_cell(cell))
    return table


def _state(store: Store, cell: Cell, known: Known) -> str:
    path = store.path(cell)
    if not path.exists():
        return store.state(cell)
    if (key := (path, path.stat().st_mtime_ns)) not in known:
        known[key] = _read_state(store, cell)
    return known[key]


def _read_state(store: Store, cell: Cell) -> str:
    try:
        return store.state(cell)
    except SuiteError:
        return "damaged"


def _cell(cell: dict[str, Any] | None) -> tuple[str, str, str, str]:
    if cell is None:
        return "–", "", "", ""
    numbers = cell["curves"].get(cell["stage"], {})
    found = {name: last(numbers.get(name, [])) for name in SHOWN}
    shown = " ".join(f"{name} {value:.3g}" for name, value in found.items() if value is not None)
    return cell["cell"], f"{cell['stage']} {cell['step']}/{cell['total']}", shown, left(cell)


def left(cell: dict[str, Any]) -> str:
    """Time left of the stage that a cell is in, and of its grid, as far as they are known."""
    seconds, end = seconds_left(cell), cell["end"]
    parts = [] if seconds is None else [f"{duration(seconds)} of this stage"]
    parts += [] if end is None else [f"{duration(max(0.0, end - time.time()))} of the grid"]
    return ", ".join(parts)


def suites_of(root: Path, preset: str) -> list[str]:
    """Suites that have the preset and something in its folder; all that have it where none has."""
    known = [name for name, suite in SUITES.items() if preset in suite.presets]
    return [name for name in known if (root / preset / name).exists()] or known


def show(root: Path, preset: str) -> None:
    """Print the board once."""
    from rich.console import Console

    Console().print(board(root, preset, suites_of(root, preset), {}))


def watch(root: Path, preset: str, every: float, page: bool) -> None:
    """Show the board until Ctrl-C; with `page`, write the page of the preset as well, after each change.

    Writing takes seconds of a core: no more often than the page loads itself again.
    """
    from rich.live import Live

    suites, states, before, written = suites_of(root, preset), Known(), "", 0.0
    with Live(board(root, preset, suites, states), auto_refresh=False) as screen:
        while True:
            if page and time.time() - written > PAGE_EVERY and (now := signature(root, preset)) != before:
                before, written = now, time.time()
                if said := write_page(root, preset):
                    screen.console.print(said)
            screen.update(board(root, preset, suites, states), refresh=True)
            time.sleep(every)


def signature(root: Path, preset: str) -> str:
    """What the page depends on: the records, and which stages of which cells run."""
    files = sorted((root / preset).glob("*/runs/*.json"))
    cells = [each for folder in sorted((root / preset).glob("*/work")) for each in running(folder)]
    parts = [*(f"{path} {path.stat().st_mtime_ns}" for path in files), *(f"{c['cell']} {c['stage']}" for c in cells)]
    return "\n".join(parts)


def write_page(root: Path, preset: str) -> str:
    """Write the page; what there is to say where it could not be, nothing of it having been run for one."""
    from benchmark.reports.page.write import write

    try:
        write(root, preset)
    except SuiteError as error:
        return str(error)
    return ""
