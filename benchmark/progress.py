"""A progress bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vtrans.training import Report

LINE_EVERY = 30.0  # seconds between lines where there is no terminal


@contextmanager
def progress(label: str) -> "Iterator[Report]":
    """Yield the function that the training loop reports each step to."""
    if not sys.stderr.isatty():
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
            bar.update(tasks[stage], completed=step, terms=terms_text(numbers))  # type: ignore[arg-type]

        yield report


def terms_text(numbers: dict[str, float]) -> str:
    """The loss terms, short."""
    return " ".join(f"{name} {value:.3g}" for name, value in list(numbers.items())[:4])


def _liner(label: str) -> "Report":
    last = {"time": time.monotonic()}

    def report(stage: str, step: int, total: int, numbers: dict[str, float]) -> None:
        if step == total or time.monotonic() - last["time"] > LINE_EVERY:
            last["time"] = time.monotonic()
            sys.stderr.write(f"{label} {stage} {step}/{total} {terms_text(numbers)}\n")

    return report


def numbered(
    watch: "Callable[[str], AbstractContextManager[Report]]", names: Sequence[str]
) -> "Callable[[str], AbstractContextManager[Report]]":
    """`watch`, with each of the names preceded by its number out of all; others, of shared stages, go without."""
    numbers = {name: f"[{number}/{len(names)}] " for number, name in enumerate(names, 1)}
    return lambda name: watch(numbers.get(name, "") + name)
