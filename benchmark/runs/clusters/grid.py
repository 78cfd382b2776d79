"""A grid on a cluster: cells are sent when what they start from is there, and again when a worker dies."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from benchmark.grid.cells import Cell
from benchmark.records.provenance import now
from benchmark.records.store import RETRY, Store
from benchmark.runs.clusters.base import Cluster, Handle, WorkerDied
from benchmark.runs.clusters.job import DONE, FAILED, HELD, OUT_OF_TIME, Job, noted_signals
from benchmark.runs.progress import duration
from benchmark.runs.runner import unfinished_record
from vtrans.errors import RunCancelled, RunFailed

TRIES = 3  # of a job whose worker dies
POLL, SAY_EVERY = 0.2, 30.0  # seconds
HELD_FOR = 10.0  # seconds until a cell is tried again that another process has
GRACE = 60.0  # seconds in which cancelled jobs may write their checkpoints
Jobs = Callable[[Cell], Job]


@dataclass
class Sent:
    """A job that is out.

    Attributes:
        handle: of the cluster.
        since: time at which it was sent.
    """

    handle: Handle
    since: float = field(default_factory=time.monotonic)


@dataclass
class Progress:
    """Where the grid is.

    Attributes:
        waiting: cells that are not sent yet.
        running: those that are out.
        failures: of those that have failed, a line each.
        deaths: of the workers of each cell.
        reached: checkpoints of cells that ran out of time, and when each was written.
        stalls: how often in a row a cell ran out of time without a new one.
        later: time before which a cell is not sent, of those that another process had.
        seconds: that each done one was out.
        done: how many are done.
    """

    waiting: list[Cell]
    running: dict[Cell, Sent] = field(default_factory=dict)
    failures: dict[Cell, str] = field(default_factory=dict)
    deaths: dict[Cell, int] = field(default_factory=dict)
    reached: dict[Cell, dict[str, int]] = field(default_factory=dict)
    stalls: dict[Cell, int] = field(default_factory=dict)
    later: dict[Cell, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    done: int = 0

    def line(self) -> str:
        """For people, with the time left by the pace so far."""
        left = len(self.waiting) + len(self.running)
        pace = f", about {duration(mean(self.seconds) * left / len(self.running))} left" if self._paced else ""
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return f"{self.done} done, {len(self.running)} out, {len(self.waiting)} waiting{failed}{pace}"

    @property
    def _paced(self) -> bool:
        return bool(self.seconds and self.running)


def run_on_cluster(cells: Sequence[Cell], store: Store, cluster: Cluster, jobs: Jobs, most: int = 0) -> int:
    """Run cells that have no complete record, and those that they start from, on a cluster; return how many ran.

    Args:
        cells: to run.
        store: on a file system that all machines share.
        cluster: runs jobs.
        jobs: makes the job of a cell.
        most: jobs that are out at a time; 0 for no limit.

    Raises:
        RunFailed: at least one cell failed; the others are done.
        RunCancelled: Ctrl-C or SIGTERM; every cell that did not end has a `cancelled` record, or the error of an
            earlier try where there was none in this grid.
    """
    progress = Progress(with_needed(cells, store))
    total = len(progress.waiting)
    said = time.monotonic()
    with noted_signals() as came:
        try:
            while (progress.waiting or progress.running) and not came:
                changed = _collect(progress, store, cluster)
                _send(progress, cluster, jobs, most)
                if changed or time.monotonic() - said > SAY_EVERY:
                    said = time.monotonic()
                    sys.stderr.write(progress.line() + "\n")
                if progress.running or progress.waiting:
                    time.sleep(POLL)
        except BaseException:
            _cancel(progress, store, cluster)
            raise
        if came:
            _cancel(progress, store, cluster)
            raise RunCancelled("stopped", "run the same command to go on")
    if progress.failures:
        cell, why = next(iter(progress.failures.items()))
        raise RunFailed(f"{len(progress.failures)} of {total} cells failed: {cell.name}: {why}", RETRY)
    return progress.done


def with_needed(cells: Sequence[Cell], store: Store) -> list[Cell]:
    """Cells without a complete record, each after those that it starts from and that have no weights."""
    found: dict[Cell, None] = {}
    complete = store.complete(list(cells))
    for cell in cells:
        if cell not in complete:
            found |= dict.fromkeys(each for each in cell.needed if not store.has_weights(each))
            found[cell] = None
    return list(found)


def _send(progress: Progress, cluster: Cluster, jobs: Jobs, most: int) -> None:
    """Send every cell that starts from nothing that is still to be made."""
    unmade = {*progress.waiting, *progress.running}
    room = most - len(progress.running) if most else len(progress.waiting)
    due = [cell for cell in progress.waiting if progress.later.get(cell, 0.0) <= time.monotonic()]
    ready = [cell for cell in due if not unmade.intersection(cell.needed)]
    for cell in [cell for cell in ready if any(each in progress.failures for each in cell.needed)]:
        ready.remove(cell)
        progress.waiting.remove(cell)
        progress.failures[cell] = "what it starts from has failed"
    chosen = ready[:room]
    for cell, handle in zip(chosen, cluster.submit([jobs(cell) for cell in chosen]) if chosen else [], strict=True):
        progress.running[cell] = Sent(handle)
    gone = set(chosen)
    progress.waiting = [cell for cell in progress.waiting if cell not in gone]


def _collect(progress: Progress, store: Store, cluster: Cluster) -> bool:
    """Take in what has ended; say whether anything has."""
    out = list(progress.running.items())
    over = [each for each, ended in zip(out, cluster.ended([sent.handle for _, sent in out]), strict=True) if ended]
    for cell, sent in over:
        del progress.running[cell]
        try:
            outcome = cluster.result(sent.handle)
        except WorkerDied as death:
            _again(progress, store, cell, f"its worker ended ({death})", progress.deaths)
            continue
        if outcome == DONE:
            progress.done += 1
            progress.seconds.append(time.monotonic() - sent.since)
        elif outcome.startswith(FAILED):
            progress.failures[cell] = outcome.removeprefix(FAILED)
        elif outcome == OUT_OF_TIME:
            _go_on(progress, store, cell)
        elif outcome == HELD:  # it comes back once the other process has ended, or is gone
            progress.later[cell] = time.monotonic() + HELD_FOR
            progress.waiting.append(cell)
        else:
            _again(progress, store, cell, "it was stopped", progress.deaths)
    return bool(over)


def _go_on(progress: Progress, store: Store, cell: Cell) -> None:
    """Send a cell that ran out of time once more: as often as it takes while its checkpoints come further."""
    found = _checkpoints(store.of(cell).work(cell))
    if progress.reached.get(cell) == found:
        _again(progress, store, cell, "its time ended without a new checkpoint", progress.stalls, "give more --hours")
        return
    progress.reached[cell] = found
    progress.stalls.pop(cell, None)
    progress.waiting.insert(0, cell)


def _checkpoints(work: Path) -> dict[str, int]:
    """When each was written last."""
    found = {}
    for path in work.glob("*.ckpt"):
        with suppress(FileNotFoundError):  # another process has just ended the cell
            found[path.name] = path.stat().st_mtime_ns
    return found


def _again(progress: Progress, store: Store, cell: Cell, why: str, counts: dict[Cell, int], remedy: str = "") -> None:
    """Try once more, or give up with a record."""
    sys.stderr.write(f"{cell.name}: {why}\n")
    counts[cell] = counts.get(cell, 0) + 1
    if counts[cell] < TRIES:
        progress.waiting.insert(0, cell)
        return
    progress.failures[cell] = f"{why}, {TRIES} times" + (f"; {remedy}" if remedy else "")
    store.of(cell).write(cell, unfinished_record(cell, now(), "failed", progress.failures[cell]))


def _cancel(progress: Progress, store: Store, cluster: Cluster) -> None:
    """Let what runs write its checkpoint, and leave a record of everything that did not end.

    One that only waited keeps the error of an earlier try.
    """
    for sent in progress.running.values():
        cluster.cancel(sent.handle)
    end = time.monotonic() + GRACE
    while time.monotonic() < end:
        if all(cluster.ended([sent.handle for sent in progress.running.values()])):
            break
        time.sleep(POLL)
    for cell in (*progress.running, *progress.waiting):
        record = store.of(cell).read(cell)
        if record is None or (record.status == "failed" and cell in progress.running):
            store.of(cell).write(cell, unfinished_record(cell, now(), "cancelled", "the grid was stopped"))
