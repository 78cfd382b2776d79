"""The cells that a command's options name, and what is shown of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.commands.options import echo, is_seed, selected
from benchmark.grid.cells import Cell
from benchmark.records.store import Store
from vtrans.errors import SuiteError

Grid = tuple[Store, list[Cell]]


@dataclass(frozen=True)
class Selection:
    """Options that name cells, as they are written."""

    suite: str
    preset: str
    results: Path
    methods: str | None = None
    tasks: str | None = None
    seeds: str | None = None
    split: str = "validation"
    precision: str = "auto"
    settings: Sequence[str] = ()
    axis: str = ""

    def grid(self) -> Grid:
        """The store, and the cells without an axis."""
        from benchmark.grid import cells
        from benchmark.grid.rows import parse_settings

        rows, names = selected("methods", self.methods), selected("tasks", self.tasks)
        leaves = parse_settings(self.settings)
        numbers = [int(seed) for seed in dict.fromkeys(selected("seeds", self.seeds)) if is_seed(seed)]
        planned = cells.plan(self.suite, self.preset, rows, names, numbers, self.split, self.precision, leaves)
        return Store(self.results, self.suite, self.preset), planned

    def grids(self) -> list[Grid]:
        """Of an axis: the cells that are as their method is, which the suite glue has, and the others; else one.

        Raises:
            SuiteError: an axis comes with options that it leaves no room for, or outside its suite.
        """
        if not self.axis:
            return [self.grid()]
        from benchmark.grid.axes import get_axis

        if self.methods or self.settings or self.split != "validation" or self.precision != "auto":
            raise SuiteError("--axis says what is run", "give it with --preset, --tasks, --seeds and --jobs alone")
        if self.suite != "ablations":
            raise SuiteError(
                "--axis names rows of the suite ablations", f"vtrans-bench run ablations --axis {self.axis}"
            )
        rows = {home: ",".join(get_axis(self.axis).rows(home == "glue")) for home in ("glue", self.suite)}
        homes = [Selection(home, self.preset, self.results, n, self.tasks, self.seeds) for home, n in rows.items()]
        return [each.grid() for each in homes]

    def show(self) -> None:
        """Write and print the tables of all that has run, or that of the axis."""
        from benchmark.reports import axes, tables

        if self.axis:
            paths = axes.write(self.axis, self.results, self.preset)
        else:
            store = Store(self.results, self.suite, self.preset)
            paths = tables.write(store, self.preset, tables.recorded_cells(store, self.suite, self.preset, self.split))
        echo(paths[0].read_text(encoding="utf-8"))
        echo("written: " + ", ".join(map(str, paths)))
