"""A progress bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.runs.curves import shown_end

if TYPE_CHECKING:
    from vtrans.training.loop import Report

LINE_EVERY = 30.0  # seconds between lines where there is no terminal


@contextmanager
def progress(label: str, plain: bool = False) -> "Iterator[Report]":
    """Yield the function that the training loop reports each step to; `plain` for lines wherever they go."""
    if plain or not sys.stderr.isatty():
        yield _liner(label)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    look = (
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[terms]}"),
    )
    with Progress(*look, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, object] = {}

        def report(stage: str, step: int, total: int, numbers: dict[str, float]) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(f"{label} {stage}", total=total, terms="")
            bar.update(tasks[stage], completed=step, terms=losses_text(numbers))  # type: ignore[arg-type]

        yield report


def losses_text(numbers: dict[str, float]) -> str:
    """The loss terms, short."""
    return " ".join(f"{name} {value:.3g}" for name, value in list(numbers.items())[:4])


def _liner(label: str) -> "Report":
    last = {"time": time.monotonic()}

    def report(stage: str, step: int, total: int, numbers: dict[str, float]) -> None:
        if step == total or time.monotonic() - last["time"] > LINE_EVERY:
            last["time"] = time.monotonic()
            sys.stderr.write(f"{label} {stage} {step}/{total} {losses_text(numbers)}\n")

    return report


class GridProgress:
    """Progress of one cell after the other: each with its number out of all, and the time that is left for the grid.

    The time left is the estimate of the cells that are still to end, scaled by how the ended ones kept to theirs.

    Args:
        names: of the cells, in their order; others, of shared stages, go without a number.
        plain: print lines and draw no bar, as where several processes share a terminal.
        jobs: processes that share the cells.
        elsewhere: names the cells that other processes have run by now.
        work: folder of working files, where `watch` reads when the grid is to end; None to tell nobody.
    """

    def __init__(
        self,
        names: Sequence[str],
        plain: bool = False,
        jobs: int = 1,
        elsewhere: Callable[[], Iterable[str]] = tuple,
        work: Path | None = None,
    ) -> None:
        self.plain, self.jobs, self.elsewhere, self.work = plain, jobs, elsewhere, work
        self.numbers = {name: f"{number}/{len(names)}" for number, name in enumerate(names, 1)}
        self._expected: dict[str, float] = {}
        self._ended, self._taken = 0.0, 0.0

    def expect(self, seconds: dict[str, float]) -> None:
        """Take over an estimate, by name."""
        self._expected = dict(seconds)

    def left(self) -> float:
        """Seconds until the last cell ends; 0 without an estimate."""
        for name in self.elsewhere():
            self._expected.pop(name, None)
        pace = self._taken / self._ended if self._ended else 1.0
        return sum(self._expected.values()) * pace / self.jobs

    @contextmanager
    def __call__(self, name: str) -> "Iterator[Report]":
        """Show the progress of a cell."""
        left = f", {duration(self.left())} left" if self._expected else ""
        number = f"[{self.numbers[name]}{left}] " if name in self.numbers else ""
        start = time.monotonic()
        with progress(number + name, self.plain) as report, shown_end(self.work, self.left()):
            yield report
        self._taken += time.monotonic() - start
        self._ended += self._expected.pop(name, 0.0)


def duration(seconds: float) -> str:
    """A duration for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
