"""What runs the cells that claims lack, and for how long."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from benchmark.grid import cost
from benchmark.grid.cells import Cell

RESULTS = Path("results")  # the folder where commands write without --results


def commands(missing: Sequence[Cell], root: Path = RESULTS) -> list[tuple[str, float]]:
    """What runs missing cells, and its machine-hours by plan; rows that lack the same tasks are run together.

    Args:
        missing: cells.
        root: results folder that their records are to go to.
    """
    tasks: dict[tuple[str, str, str], list[str]] = {}
    for cell in missing:
        tasks.setdefault((cell.suite, cell.preset.name, cell.row), []).append(cell.task)
    groups: dict[tuple[str, str, tuple[str, ...]], list[Cell]] = {}
    for cell in missing:
        same = tuple(dict.fromkeys(tasks[cell.suite, cell.preset.name, cell.row]))
        groups.setdefault((cell.suite, cell.preset.name, same), []).append(cell)
    where = "" if root.resolve() == RESULTS.resolve() else f" --results {shlex.quote(str(root))}"
    return [_command(*group, cells, where) for group, cells in groups.items()]


def _command(suite: str, preset: str, tasks: Sequence[str], cells: Sequence[Cell], where: str) -> tuple[str, float]:
    rows = shlex.quote(",".join(dict.fromkeys(cell.row for cell in cells)))
    command = f"vtrans-bench run {suite} --preset {preset} --methods {rows} --tasks {','.join(tasks)}{where}"
    return command, cost.cost(cells).flops / (cells[0].preset.tflops * 1e12) / 3600
