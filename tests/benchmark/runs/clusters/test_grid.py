"""A grid on a cluster that is none: what is sent when, what becomes of workers that die, and of a grid that stops."""

import os
import signal
import time
from itertools import pairwise

import pytest
from made_records import make_record

from benchmark.grid.cells import plan
from benchmark.records.provenance import now
from benchmark.records.store import Store
from benchmark.runs.clusters import grid
from benchmark.runs.clusters.base import WorkerDied
from benchmark.runs.clusters.grid import TRIES, Progress, run_on_cluster, with_needed
from benchmark.runs.clusters.job import DONE, FAILED, HELD, OUT_OF_TIME
from benchmark.runs.jobs import identity
from benchmark.runs.runner import unfinished_record
from vtrans.errors import RunCancelled, RunFailed, SuiteError

ROWS = ["dense", "random-s50", "VTrans-s50", "VTrans-s50+Infor-Coef"]


class Instant:
    """Ends each job at once: with what `outcomes` has for its row in turn, or done, with a record."""

    def __init__(self, store, cells, **outcomes):
        self.store, self.outcomes = store, {row: list(each) for row, each in outcomes.items()}
        self.cells = {identity(cell): cell for cell in with_needed(cells, store)}
        self.sent, self.cancelled, self.together, self.comes_further = [], [], 0, True

    def submit(self, jobs):
        self.together = max(self.together, len(jobs))
        self.sent += [job[3] for job in jobs]
        return list(jobs)

    def ended(self, handles):
        return [True] * len(handles)

    def result(self, handle):
        outcome = (self.outcomes.get(handle[3]) or [DONE]).pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        if outcome == OUT_OF_TIME and self.comes_further:
            self.write_checkpoint(self.cells[handle])
        if outcome == DONE:
            self.store.write(self.cells[handle], make_record(self.cells[handle]))
        return outcome

    def write_checkpoint(self, cell):
        path = self.store.work(cell) / "0-finetune.ckpt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, ns=(0, len(self.sent)))

    def cancel(self, handle):
        self.cancelled.append(handle[3])


@pytest.fixture
def quick(tmp_path, tiny_preset, monkeypatch):
    monkeypatch.setattr(grid, "POLL", 0.01)
    monkeypatch.setattr(grid, "HELD_FOR", 0.05)
    return plan("glue", "tiny", ROWS, ["sst2"], [0]), Store(tmp_path, "glue", "tiny")


def test_a_cell_is_sent_once_what_it_starts_from_is_made(quick):
    cells, store = quick
    cluster = Instant(store, cells)
    assert run_on_cluster(cells, store, cluster, identity) == len(ROWS)
    assert cluster.sent[0] == "dense" and set(cluster.sent[1:3]) == {"random-s50", "VTrans-s50"}
    assert cluster.sent[3:] == ["VTrans-s50+Infor-Coef"]
    assert len(store.complete(cells)) == len(ROWS)
    assert run_on_cluster(cells, store, cluster, identity) == 0  # and nothing is sent twice


def test_what_cells_start_from_is_sent_though_nobody_asked_for_it(quick):
    cells, store = quick
    cluster = Instant(store, cells[3:])
    run_on_cluster(cells[3:], store, cluster, identity)
    assert cluster.sent == ["dense", "VTrans-s50", "VTrans-s50+Infor-Coef"]


def test_no_more_are_out_than_wanted(quick):
    _, store = quick
    many = plan("glue", "tiny", ["dense"], ["sst2"], range(7))
    cluster = Instant(store, many)
    assert run_on_cluster(many, store, cluster, identity, most=2) == 7
    assert cluster.together == 2


def test_a_job_whose_worker_dies_is_sent_again_and_given_up_in_the_end(quick):
    cells, store = quick
    outcomes = [OUT_OF_TIME, WorkerDied("killed"), OUT_OF_TIME, WorkerDied("killed"), DONE]
    cluster = Instant(store, cells, **{"VTrans-s50": list(outcomes)})
    run_on_cluster(cells, store, cluster, identity)
    assert cluster.sent.count("VTrans-s50") == len(outcomes)
    others = plan("glue", "tiny", ROWS, ["sst2"], [1])
    cluster = Instant(store, others, **{"VTrans-s50": [WorkerDied("killed")] * TRIES})
    with pytest.raises(RunFailed, match="2 of 4 cells failed: .*VTrans-s50.*its worker ended"):
        run_on_cluster(others, store, cluster, identity)
    record = store.read(others[2])
    assert record.status == "failed" and "3 times" in record.error
    assert store.read(others[3]) is None  # what starts from it was not tried
    assert store.state(others[1]) == "done"


def test_one_that_is_out_of_time_goes_on_as_often_as_it_takes(quick):
    cells, store = quick
    cluster = Instant(store, cells, dense=[OUT_OF_TIME] * (TRIES + 2) + [DONE])
    assert run_on_cluster(cells, store, cluster, identity) == len(ROWS)
    assert cluster.sent.count("dense") == TRIES + 3


def test_one_that_comes_no_further_in_its_time_is_given_up(quick):
    cells, store = quick
    cluster = Instant(store, cells[:1], dense=[OUT_OF_TIME] * (TRIES + 2))
    cluster.comes_further = False
    with pytest.raises(RunFailed, match="its time ended without a new checkpoint, 3 times; give more --hours"):
        run_on_cluster(cells[:1], store, cluster, identity)
    assert cluster.sent == ["dense"] * (TRIES + 1)  # the first end shows nothing yet
    assert store.read(cells[0]).status == "failed"


def test_stalls_are_counted_in_a_row(quick, monkeypatch):
    cells, store = quick
    cluster = Instant(store, cells[:1], dense=[OUT_OF_TIME] * 8 + [DONE])
    advances = iter([True, False, False, True, False, False, True, False])
    write = cluster.write_checkpoint
    monkeypatch.setattr(cluster, "write_checkpoint", lambda cell: write(cell) if next(advances) else None)
    assert run_on_cluster(cells[:1], store, cluster, identity) == 1
    assert len(cluster.sent) == 9


def test_one_that_another_process_has_is_waited_for(quick, monkeypatch):
    cells, store = quick
    cluster = Instant(store, cells, dense=[HELD] * (TRIES + 2) + [DONE])
    times, submit = [], cluster.submit
    monkeypatch.setattr(cluster, "submit", lambda jobs: times.append(time.monotonic()) or submit(jobs))
    assert run_on_cluster(cells, store, cluster, identity) == len(ROWS)
    apart = [after - before for before, after in pairwise(times[: TRIES + 3])]
    assert len(apart) == TRIES + 2 and min(apart) >= grid.HELD_FOR  # not sent again at once


def test_jobs_are_cancelled_where_one_cannot_be_made(quick):
    cells, store = quick

    def make(cell):
        if cell.row == "VTrans-s50":
            raise SuiteError("no such data", "name another folder")
        return identity(cell)

    cluster = Instant(store, cells)
    with pytest.raises(SuiteError, match="no such data"):
        run_on_cluster(cells, store, cluster, make)
    assert store.state(cells[0]) == "done" and store.state(cells[2]) == "cancelled"


def test_one_that_fails_is_not_tried_again(quick):
    cells, store = quick
    cluster = Instant(store, cells, dense=[FAILED + "loss term 'task' is nan"])
    with pytest.raises(RunFailed, match="4 of 4 cells failed: .*loss term 'task' is nan"):
        run_on_cluster(cells, store, cluster, identity)
    assert cluster.sent == ["dense"]


def stopping(cluster, number):
    """Says that nothing ends until it is cancelled; sends a signal when it is first asked."""

    def ended(handles):
        if handles and not cluster.cancelled:
            os.kill(os.getpid(), number)
        return [bool(cluster.cancelled)] * len(handles)

    return ended


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_grid_that_is_stopped_leaves_cancelled_records(quick, number, monkeypatch):
    cells, store = quick
    cluster = Instant(store, cells)
    monkeypatch.setattr(cluster, "ended", stopping(cluster, number))
    with pytest.raises(RunCancelled, match="run the same command to go on"):
        run_on_cluster(cells, store, cluster, identity)
    assert cluster.cancelled == ["dense"]
    assert {store.state(cell) for cell in cells} == {"cancelled"}


def test_a_cell_that_was_not_tried_keeps_the_error_of_before(quick, monkeypatch):
    cells, store = quick
    store.write(cells[1], unfinished_record(cells[1], now(), "failed", "loss is nan"))
    cluster = Instant(store, cells)
    monkeypatch.setattr(cluster, "ended", stopping(cluster, signal.SIGINT))
    with pytest.raises(RunCancelled):
        run_on_cluster(cells, store, cluster, identity)
    assert cluster.sent == ["dense"] and store.read(cells[1]).error == "loss is nan"


def test_a_failure_is_counted_out_of_all_that_is_run(quick):
    cells, store = quick
    cluster = Instant(store, cells[3:], dense=[FAILED + "loss is nan"])
    with pytest.raises(RunFailed, match="3 of 3 cells failed: .*dense.*loss is nan"):
        run_on_cluster(cells[3:], store, cluster, identity)


def test_progress_says_what_is_left():
    found = Progress(waiting=[1, 2], seconds=[10.0, 20.0], done=2)
    assert found.line() == "2 done, 0 out, 2 waiting"
    found.running = {3: None}
    assert found.line() == "2 done, 1 out, 2 waiting, about 45 s left"


def test_a_grid_of_a_thousand_cells_is_sent_at_once(quick):
    _, store = quick
    many = plan("glue", "tiny", ["dense", "random-s50"], ["sst2"], range(500))
    cluster = Instant(store, many)
    progress = Progress(with_needed(many, store))
    grid._send(progress, cluster, identity, 0)
    assert len(progress.running) == 500 and len(progress.waiting) == 500
    assert cluster.together == 500  # in one array
