"""What a run's steps say, kept for its record, and shown to others while it goes on."""

import json
import math
import os
import platform
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.common.files import write_atomically
from vtrans.errors import SuiteError

if TYPE_CHECKING:
    from vtrans.training.loop import Report

POINTS = 60  # of each curve, at least, where a stage has so many steps
EVERY, FRESH = 2.0, 60.0  # seconds between writes of a live file, and after which one is of a dead process

Series = dict[str, dict[str, list[float | None]]]


class Curves:
    """Stands before the function that steps are reported to, and keeps 60 to 150 of each stage's steps.

    Where a run went on after a stop, or took a stage from another, `completed` adds what its logs know. A number that
    a step does not give is None there: those that cost something to know are given every tenth step, a term after a
    warm-up begins late.

    Args:
        name: of the cell.
        report: that is called in turn; None for none.
        path: of the live file; None for none.
    """

    def __init__(self, name: str, report: "Report | None" = None, path: Path | None = None) -> None:
        self.name, self.report, self.path = name, report, path
        self.series: Series = {}
        self._stage, self._since, self._from, self._written = "", 0.0, 0, 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The live file is gone at the end, however it comes."""
        path = self.path
        try:
            yield
        finally:
            if path:
                path.unlink(missing_ok=True)

    def __call__(self, stage: str, step: int, total: int, numbers: dict[str, float]) -> None:
        """Take over the numbers of a step."""
        if self.report:
            self.report(stage, step, total, numbers)
        if stage != self._stage:
            self._stage, self._since, self._from = stage, time.time(), step
        if (step - 1) % spacing(total) == 0 or step == total:
            self._keep(stage, step, numbers)
        if self.path and (time.time() - self._written > EVERY or step == total):
            self._written = time.time()
            now = {"cell": self.name, "stage": stage, "step": step, "total": total}
            pace = {"since": self._since, "from": self._from, "updated": self._written}
            content = json.dumps({**now, **pace, "curves": self.series})
            try:
                write_atomically(self.path, content)
            except SuiteError:  # a run does not end for what is only looked at
                self.path = None

    def _keep(self, stage: str, step: int, numbers: dict[str, float]) -> None:
        if not numbers or not all(map(math.isfinite, numbers.values())):  # JSON has no infinity
            return
        _append(self.series.setdefault(stage, {"step": []}), {"step": step} | numbers)

    def completed(self, folder: Path, stages: Iterable[str]) -> Series:
        """The curves of stages, begun with the steps of their logs in a folder that this process has not made."""
        found: Series = {}
        for stage in stages:
            own = self.series.get(stage, {"step": []})
            first = next(iter(own["step"]), None)
            for point in (*_logged(folder / f"{stage}.jsonl", before=first), *_points(own)):
                _append(found.setdefault(stage, {"step": []}), point)
        return found


def _append(curves: dict[str, list[float | None]], point: dict[str, float]) -> None:
    """Add a step and its numbers to the curves of a stage."""
    known = len(curves["step"])
    found = {name: value if name == "step" else float(f"{value:.4g}") for name, value in point.items()}
    for name in dict.fromkeys([*curves, *found]):
        curves.setdefault(name, [None] * known).append(found.get(name))


def _points(curves: dict[str, list[float | None]]) -> Iterator[dict[str, float]]:
    """The steps of a stage's curves with the numbers that each of them has."""
    for row in zip(*curves.values(), strict=True):
        yield {name: value for name, value in zip(curves, row, strict=True) if value is not None}


def _logged(path: Path, before: float | None) -> Iterator[dict[str, float]]:
    """The steps of a log, counted from 1 and as far apart as those of curves, up to one; all of them for None."""
    lines = []
    with suppress(OSError, ValueError):  # no log, or a damaged one
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    total = lines[-1]["step"] + 1 if lines else 0
    for line in lines:
        step, finite = line["step"] + 1, all(map(math.isfinite, line.values()))
        if finite and (before is None or step < before) and ((step - 1) % spacing(total) == 0 or step == total):
            yield {**line, "step": step}


def spacing(total: int) -> int:
    """Steps from one kept step to the next: 1, 2, 5 or tens, because every tenth step gives all numbers."""
    most = max(1, total // POINTS)
    return most // 10 * 10 or next(each for each in (5, 2, 1) if each <= most)


def last(values: list[float | None]) -> float | None:
    """The last number of a curve."""
    return next((value for value in reversed(values) if value is not None), None)


def live_file(folder: Path) -> Path:
    """Where this process, of this machine, shows what it runs, in a folder of working files."""
    return folder / "live" / f"{platform.node()}-{os.getpid()}.json"


@contextmanager
def shown_end(folder: Path | None, seconds: float) -> Iterator[None]:
    """Show beside the live file, inside the context, that the grid is to end in so many seconds; 0 for not known."""
    path = live_file(folder).with_suffix(".end") if folder and seconds else None
    try:
        if path:
            with suppress(SuiteError):  # a run does not end for what is only looked at
                write_atomically(path, str(time.time() + seconds))
        yield
    finally:
        if path:
            path.unlink(missing_ok=True)


def seconds_left(cell: dict[str, Any]) -> float | None:
    """Seconds until the stage of a running cell ends, by its pace here; None after its first step."""
    done = cell["step"] - cell["from"]
    return (cell["updated"] - cell["since"]) / done * (cell["total"] - cell["step"]) if done > 0 else None


def running(folder: Path) -> list[dict[str, Any]]:
    """Cells that are being run, of a folder of working files: those whose live file was written of late.

    `end` is the time at which the grid is to end, where its process has an estimate.
    """
    found = []
    for path in sorted((folder / "live").glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            end = path.with_suffix(".end")
            content["end"] = float(end.read_text(encoding="utf-8")) if end.exists() else None
        except (OSError, ValueError):  # it has just ended
            continue
        if time.time() - content["updated"] < FRESH:
            found.append(content)
    return found
