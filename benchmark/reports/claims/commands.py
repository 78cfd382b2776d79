"""What runs the cells that claims lack, and for how long."""

import shlex
from collections.abc import Sequence

from benchmark.grid import cost
from benchmark.grid.cells import Cell


def commands(missing: Sequence[Cell]) -> list[tuple[str, float]]:
    """What runs missing cells, and the machine-hours that it is reckoned to take, by suite and preset."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in missing:
        groups.setdefault((cell.suite, cell.preset.name), []).append(cell)
    found = []
    for (suite, preset), cells in groups.items():
        rows, tasks = (",".join(dict.fromkeys(getattr(c, name) for c in cells)) for name in ("row", "task"))
        command = f"vtrans-bench run {suite} --preset {preset} --methods {shlex.quote(rows)} --tasks {tasks}"
        hours = cost.cost(cells).flops / (cells[0].preset.tflops * 1e12) / 3600
        found.append((command, hours))
    return found
