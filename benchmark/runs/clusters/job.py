"""A cell as it is sent to a worker, and what the worker does with it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmark.grid.cells import Cell
from benchmark.grid.suites import get_preset
from benchmark.records.provenance import source_digest
from benchmark.records.store import Store
from benchmark.runs.jobs import Identity
from benchmark.tasks.kind import kind_of
from benchmark.tasks.registry import get_task
from vtrans.errors import RunCancelled, RunFailed, SuiteError
from vtrans.signals import handled_by

DONE, HELD, STOPPED, OUT_OF_TIME = "done", "held", "stopped", "out of time"
FAILED = "failed: "
POLL = 0.5  # seconds between looks at signals


@dataclass(frozen=True)
class Job:
    """One cell, in plain values, and how it is run.

    Attributes:
        cell: what names it, see `benchmark.runs.jobs.identity`.
        root: the results folder, which all machines share.
        cache_gib: GiB for outputs of teachers there.
        folder: what `--data-dir` names.
        timed: whether latency is measured.
        code: digest of the sources that sent it.
        data: digest of the task's rows.
        cores: threads that it may use.
        hours: after which it stops with a checkpoint; 0 for no limit.
        ranks: processes that train it together, and how: see `benchmark.commands.run.How`.
    """

    cell: Identity
    root: Path
    cache_gib: float
    folder: Path | None
    timed: bool
    code: str
    data: str
    cores: int
    hours: float = 0.0
    ranks: int = 1
    stage: int = 0
    offload: str = ""
    checkpointing: bool = False

    def command(self) -> list[str]:
        """The command that runs the cell on several ranks."""
        suite, preset, task, row, seed, split = self.cell
        asked = ["--preset", preset, "--tasks", task, "--methods", row, "--seeds", str(seed), "--split", split]
        places = ["--results", str(self.root), *(["--data-dir", str(self.folder)] if self.folder else [])]
        how = [
            "--ranks",
            str(self.ranks),
            "--zero-stage",
            str(self.stage),
            *(["--offload", self.offload] if self.offload else []),
        ]
        flags = ["--gradient-checkpointing"] * self.checkpointing + ["--no-latency"] * (not self.timed)
        return [sys.executable, "-m", "benchmark", "run", suite, *asked, *places, *how, *flags]


def run_job(job: Job) -> str:
    """Run a cell on a worker; say what became of it: one of the words above, or `failed: ` and why.

    What a run itself comes to, complete, failed or cancelled, stands in its record.
    """
    with _limited(job.hours) as over:
        try:
            outcome = _run(job)
        except RunCancelled:
            outcome = STOPPED
        except (RunFailed, SuiteError) as error:
            outcome = f"{FAILED}{error}"
    return OUT_OF_TIME if outcome == STOPPED and over else outcome


def _run(job: Job) -> str:
    if source_digest() != job.code:
        raise SuiteError("a worker has another version of the suite", "install the same on all machines")
    suite, preset, task, row, seed, split = job.cell
    found = kind_of(get_task(task)).load(get_task(task), job.folder, split).digest
    if found != job.data:
        raise SuiteError(f"a worker has other data for {task}", "let --data-dir be a folder that all machines share")
    cell, store = Cell(suite, get_preset(preset, suite), task, row, seed, split), Store(job.root, suite, preset)
    store.cache_gib = job.cache_gib
    if job.ranks > 1:
        _run_on_ranks(job)
    else:
        _run_here(job, cell, store)
    return DONE if store.complete([cell]) else HELD


def _run_here(job: Job, cell: Cell, store: Store) -> None:
    import torch

    from benchmark.runs.runner import run_cells

    torch.set_num_threads(job.cores)
    run_cells([cell], store, job.folder, timed=job.timed)


def _run_on_ranks(job: Job) -> None:
    """Run the cell's command, and hand the first signal on to it, on which its ranks write their checkpoint."""
    threads = {"OMP_NUM_THREADS": str(max(1, job.cores // job.ranks))}
    command = job.command()
    with noted_signals() as came:
        ranks = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | threads
        )
        handed_on = False
        while True:
            try:
                _, err = ranks.communicate(timeout=POLL)
                break
            except subprocess.TimeoutExpired:
                if came and not handed_on:
                    ranks.terminate()
                    handed_on = True
    if ranks.returncode == RunCancelled.exit_code or came:
        raise RunCancelled("stopped", "run the same command to go on")
    if ranks.returncode:
        lines = [line.removeprefix("error: ") for line in err.splitlines() if line.startswith("error: ")]
        raise RunFailed(lines[0] if lines else err.strip()[-200:], "the field `error` of its record says more")


@contextmanager
def noted_signals() -> Iterator[list[int]]:
    """Yield the signals that come, instead of ending; in a thread that none reaches, none come."""
    came: list[int] = []
    with handled_by(lambda number, frame: came.append(number)):
        yield came


@contextmanager
def _limited(hours: float) -> Iterator[list[bool]]:
    """Send this process SIGTERM after so many hours, on which a run writes a checkpoint; yields whether it was sent."""
    over: list[bool] = []

    def end() -> None:
        """Take note, and stop."""
        over.append(True)
        os.kill(os.getpid(), signal.SIGTERM)

    timer = threading.Timer(hours * 3600, end)
    if hours:
        timer.daemon = True
        timer.start()
    try:
        yield over
    finally:
        timer.cancel()
