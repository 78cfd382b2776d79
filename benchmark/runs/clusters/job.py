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
from vtrans.errors import RunCancelled, RunFailed, SuiteError

DONE, HELD, STOPPED, OUT_OF_TIME = "done", "held", "stopped", "out of time"
FAILED = "failed: "


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

    @property
    def suite(self) -> str:
        """Of the cell."""
        return self.cell[0]

    @property
    def preset(self) -> str:
        """Of the cell."""
        return self.cell[1]

    def command(self) -> list[str]:
        """The command that runs the cell on several ranks."""
        suite, preset, task, row, seed, split = self.cell
        asked = ["--preset", preset, "--tasks", task, "--methods", row, "--seeds", str(seed), "--split", split]
        places = ["--results", str(self.root), *(["--data-dir", str(self.folder)] if self.folder else [])]
        how = [
            "--ranks",
            str(self.ranks),
            "--stage",
            str(self.stage),
            *(["--offload", self.offload] if self.offload else []),
        ]
        flags = ["--checkpointing"] * self.checkpointing + ["--no-latency"] * (not self.timed)
        return [sys.executable, "-m", "benchmark", "run", suite, *asked, *places, *how, *flags]


def run_job(job: Job) -> str:
    """Run a cell on a worker; say what became of it: one of the words above, or `failed: ` and why.

    What a run itself comes to, complete, failed or cancelled, stands in its record.
    """
    with _limited(job.hours) as over:
        try:
            outcome = _run_on_ranks(job) if job.ranks > 1 else _run_here(job)
        except RunCancelled:
            outcome = STOPPED
        except (RunFailed, SuiteError) as error:
            outcome = f"{FAILED}{error}"
    return OUT_OF_TIME if outcome == STOPPED and over else outcome


def _run_here(job: Job) -> str:
    import torch

    from benchmark.runs.runner import opened, run_opened
    from benchmark.runs.task_context import no_watch

    if source_digest() != job.code:
        raise SuiteError("a worker has another version of the suite", "install the same on all machines")
    torch.set_num_threads(job.cores)
    suite, preset, task, row, seed, split = job.cell
    cell = Cell(suite, get_preset(preset, suite), task, row, seed, split)
    store = Store(job.root, suite, preset, job.cache_gib)
    contexts = opened([cell], store, job.folder, no_watch, None, job.timed)
    if contexts.of(cell).data.digest != job.data:
        raise SuiteError(f"a worker has other data for {task}", "let --data-dir be a folder that all machines share")
    run_opened([cell], store, contexts, no_watch)
    return DONE if store.complete([cell]) else HELD


def _run_on_ranks(job: Job) -> str:
    found = subprocess.run(job.command(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if found.returncode == RunCancelled.exit_code:
        return STOPPED
    lines = [line for line in found.stderr.splitlines() if line.startswith("error: ")]
    return DONE if found.returncode == 0 else FAILED + (lines[0] if lines else found.stderr.strip()[-200:])


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
