"""A grid as it runs: how many cells are done, which run, and where their curves stand."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmark.grid.cells import plan
from benchmark.grid.suites import SUITES
from benchmark.records.store import Store
from benchmark.runs.curves import running
from benchmark.runs.progress import duration

SHOWN = ("expected", "real", "target", "accuracy", "task", "prediction", "layer", "constraint")


def board(root: Path, preset: str, suites: list[str]) -> Table:
    """A table of the suites: cells by state, and of each cell that runs its stage, step, numbers and time left."""
    table = Table(title=f"{preset} in {root}", title_justify="left")
    for head in ("suite", "cells", "running", "stage", "numbers", "left"):
        table.add_column(head, overflow="fold")
    for suite in suites:
        store = Store(root, suite, preset)
        counts = Counter(store.state(cell) for cell in plan(suite, preset, split=SUITES[suite].split or "validation"))
        text = ", ".join(f"{number} {state}" for state, number in counts.items())
        cells: list[dict[str, Any] | None] = [*running(store.folder / "work")] or [None]
        for place, cell in enumerate(cells):
            table.add_row(suite if not place else "", text if not place else "", *_cell(cell))
    return table


def _cell(cell: dict[str, Any] | None) -> tuple[str, str, str, str]:
    if cell is None:
        return "–", "", "", ""
    numbers = cell["curves"].get(cell["stage"], {})
    shown = " ".join(f"{name} {numbers[name][-1]:.3g}" for name in SHOWN if numbers.get(name))
    done, spent = cell["step"] / max(1, cell["total"]), cell["updated"] - cell["began"]
    left = duration(spent / done - spent) + " of this stage" if done and len(cell["curves"]) <= 1 else ""
    return cell["cell"], f"{cell['stage']} {cell['step']}/{cell['total']}", shown, left


def suites_of(root: Path, preset: str) -> list[str]:
    """Suites that have the preset and something in its folder; all that have it where none has."""
    known = [name for name, suite in SUITES.items() if preset in suite.presets]
    return [name for name in known if (root / preset / name).exists()] or known


def show(root: Path, preset: str) -> None:
    """Print the board once."""
    from rich.console import Console

    Console().print(board(root, preset, suites_of(root, preset)))


def watch(root: Path, preset: str, every: float, page: bool) -> None:
    """Show the board until Ctrl-C; with `page`, write the page of the preset anew as well, where it has records."""
    from rich.live import Live

    from benchmark.reports.page.write import write
    from vtrans.errors import SuiteError

    suites = suites_of(root, preset)
    with Live(board(root, preset, suites), auto_refresh=False) as screen:
        while True:
            if page:
                try:
                    write(root, preset)
                except SuiteError as error:
                    screen.console.print(str(error))
            screen.update(board(root, preset, suites), refresh=True)
            time.sleep(every)
