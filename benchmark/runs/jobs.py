"""Several processes on one machine: each takes the cells of a grid that nobody else has, on cores of its own."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.grid.cells import Cell
from benchmark.grid.suites import get_preset
from benchmark.records.store import RETRY, Store
from benchmark.runs.progress import GridProgress
from vtrans.errors import RunCancelled, RunFailed, SuiteError
from vtrans.signals import handled_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmark.runs.timing import Estimate

Identity = tuple[str, str, str, str, int, str]


@dataclass(frozen=True)
class Work:
    """What a worker is told: plain values alone, which a new process can be given.

    Attributes:
        cells: what names each of them, see `identity`.
        root, suite, preset, cache_gib: of the store.
        folder: what `--data-dir` names.
        threads: of the worker.
        seconds: estimated for each cell, by its name; empty without an estimate.
        jobs: how many workers there are.
        began: time at which the grid began.
        timed: whether latency is measured.
    """

    cells: tuple[Identity, ...]
    root: Path
    suite: str
    preset: str
    cache_gib: float
    folder: Path | None
    threads: int
    seconds: dict[str, float]
    jobs: int
    began: float
    timed: bool


def identity(cell: Cell) -> Identity:
    """What names a cell, so that another process can make it again."""
    return (cell.suite, cell.preset.name, cell.task, cell.row, cell.seed, cell.split)


def check_jobs(jobs: int) -> None:
    """Raise `SuiteError` for more processes than cores."""
    cores = usable_cores()
    if jobs > cores:
        raise SuiteError(f"{jobs} jobs are more than the {cores} cores at hand", f"give --jobs 1 to {cores}")


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_here(
    cells: list[Cell],
    store: Store,
    folder: Path | None,
    jobs: int,
    watch: GridProgress,
    announce: "Callable[[Estimate], None]",
    timed: bool = True,
) -> None:
    """Run cells that have no complete record, in one process or several.

    Where there are fewer dense models to make than processes, this one makes them first, on all cores of a CPU.

    Raises:
        SuiteError: more jobs than cores.
        RunFailed, RunCancelled: as of `run_cells`.
    """
    from benchmark.common.device import device
    from benchmark.runs.runner import check_inputs, opened, run_cells

    check_jobs(jobs)
    if jobs == 1:
        run_cells(cells, store, folder, watch, announce, timed=timed)
        return
    seconds: dict[str, float] = {}

    def keep(found: "Estimate") -> None:
        """Announce an estimate and keep it for the workers."""
        announce(found)
        seconds.update({cell.name: value for cell, value in found.cells.items()})

    teachers = [t for t in dict.fromkeys(cell.teacher for cell in cells) if not store.has_weights(t)]
    contexts = opened(cells, store, folder, watch, keep)
    for cell in cells:
        check_inputs(cell, store, contexts.of(cell))
    if len(teachers) < jobs and device().type == "cpu":
        with suppress(RunFailed):  # its record says so; the cells of other teachers go on
            own = [teacher for teacher in teachers if teacher.suite == store.suite]
            run_cells(own, store, folder, watch, timed=timed)
    run_in_processes(cells, store, folder, jobs, seconds, timed=timed)


def run_in_processes(
    cells: Sequence[Cell],
    store: Store,
    folder: Path | None,
    jobs: int,
    seconds: dict[str, float],
    start: Literal["spawn", "fork"] = "spawn",
    timed: bool = True,
) -> int:
    """Run cells that have no complete record in several processes; return how many have one afterwards.

    A process takes no cell that another one holds, nor one that starts from a cell which another one holds.

    Raises:
        RunFailed: at least one cell failed, or a process died.
        RunCancelled: Ctrl-C or SIGTERM, which every process is sent.
    """
    threads = max(1, usable_cores() // jobs)
    names = tuple(identity(cell) for cell in cells)
    place = (store.root, store.suite, store.preset, store.cache_gib)
    work = Work(names, *place, folder, threads, seconds, jobs, time.time(), timed)
    context: Any = multiprocessing.get_context(start)
    workers = [context.Process(target=run_worker, args=(work,)) for _ in range(jobs)]
    with _passing_signals(workers) as stop:
        with _threads_in_environment(threads):
            for worker in workers:
                worker.start()
                stop.tell_new()
        for worker in workers:
            worker.join()
    if stop.came:
        raise RunCancelled("stopped", "run the same command to go on")
    _raise_failures(cells, store, [worker.exitcode for worker in workers])
    return len(store.complete(list(cells)))


def _raise_failures(cells: Sequence[Cell], store: Store, codes: Sequence[int | None]) -> None:
    failed = [(cell, record) for cell in cells if (record := store.read(cell)) and record.status == "failed"]
    if failed:
        cell, record = failed[0]
        first = f"{cell.name}: {record.error}"
        raise RunFailed(f"{len(failed)} of {len(cells)} cells failed: {first}", RETRY)
    dead = [code for code in codes if code not in (0, RunCancelled.exit_code)]
    if dead:
        raise RunFailed(
            f"{len(dead)} of {len(codes)} processes ended with code {dead[0]}", "run the same command again"
        )


def run_worker(work: Work) -> None:
    """Run the cells that nobody else has, on some threads; the body of a process."""
    import torch

    from benchmark.runs.runner import run_cells

    os.setpgid(0, 0)  # a terminal's Ctrl-C goes to the parent, which hands it on: two would interrupt at once
    torch.set_num_threads(work.threads)
    store = Store(work.root, work.suite, work.preset, work.cache_gib)
    cells = [Cell(s, get_preset(p, s), task, row, seed, split) for s, p, task, row, seed, split in work.cells]
    names = [cell.name for cell in cells]
    work_folder = store.folder / "work"
    watch = GridProgress(names, True, work.jobs, lambda: run_since(cells, store, work.began), work_folder)
    watch.expect(work.seconds)
    try:
        run_cells(cells, store, work.folder, watch, together=work.began, timed=work.timed)
    except SuiteError as error:
        if not isinstance(error, (RunFailed, RunCancelled)):  # those stand in the records
            sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


def run_since(cells: Sequence[Cell], store: Store, began: float) -> list[str]:
    """Names of the cells that have a record which was written at `began` or later."""
    paths = {cell.name: store.path(cell) for cell in cells}
    return [name for name, path in paths.items() if path.exists() and path.stat().st_mtime >= began]


@contextmanager
def _threads_in_environment(threads: int) -> Iterator[None]:
    """Libraries of a new process read their number of threads from the environment when they are loaded."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({names[0]: str(threads), names[1]: str(threads), names[2]: "false"})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ |= {name: value} if value is not None else {}


@dataclass
class _Stop:
    """Hands Ctrl-C and SIGTERM on to workers, which write their checkpoints.

    Workers hear a first one as SIGTERM. A second Ctrl-C interrupts them at once, as it does without --jobs.

    Attributes:
        workers: processes, started or not.
        came: the signals.
        told: workers that have heard of one.
    """

    workers: Sequence[Any]
    came: list[int] = field(default_factory=list)
    told: set[int] = field(default_factory=set)

    def __call__(self, number: int, frame: object) -> None:
        """Hand a signal on."""
        told = signal.SIGINT if self.came and number == signal.SIGINT else signal.SIGTERM
        self.came.append(number)
        self._tell(told, [worker for worker in self.workers if worker.pid])

    def tell_new(self) -> None:
        """Hand SIGTERM on to workers that were being started when it came."""
        if self.came:
            new = [worker for worker in self.workers if worker.pid and worker.pid not in self.told]
            self._tell(signal.SIGTERM, new)

    def _tell(self, number: int, workers: Sequence[Any]) -> None:
        for worker in workers:
            self.told.add(worker.pid)
            if worker.is_alive():
                os.kill(worker.pid, number)


@contextmanager
def _passing_signals(workers: Sequence[Any]) -> Iterator[_Stop]:
    stop = _Stop(workers)
    with handled_by(stop):
        yield stop
