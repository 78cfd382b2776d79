"""Several processes run each cell once, and write what one would have written."""

import dataclasses
import multiprocessing
import os
import signal
import time
from types import SimpleNamespace

import pytest

from benchmark.grid.cells import plan
from benchmark.grid.rows import with_settings
from benchmark.records.provenance import now
from benchmark.records.store import Store
from benchmark.runs import jobs
from benchmark.runs.runner import run_cells, unfinished_record, waits
from vtrans.errors import RunCancelled, RunFailed, SuiteError
from vtrans.locks import locked

ROWS = ["dense", "random-s50", "VTrans-s50", "CoFi-s50"]


def grid(folder):
    return plan("glue", "tiny", ROWS, ["sst2"], [0]), Store(folder, "glue", "tiny")


def weights(cells, store):
    return [(store.work(cell) / "model" / "model.safetensors").read_bytes() for cell in cells]


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(jobs, "usable_cores", lambda: 2)


def test_two_processes_end_as_one_and_build_the_teachers_outputs_once(tiny_preset, data_dir, tmp_path, two_cores):
    cells, one = grid(tmp_path / "one")
    run_cells(cells, one, data_dir)
    _, two = grid(tmp_path / "two")
    assert jobs.run_in_processes(cells, two, data_dir, 2, {}, start="fork") == len(cells)
    assert weights(cells, one) == weights(cells, two)
    kept = [sorted(path.name for path in store.teacher_cache.entries()) for store in (one, two)]
    assert kept[0] == kept[1] and len(kept[0]) == 1  # of all rows
    assert [one.read(cell).outcome.metrics for cell in cells] == [two.read(cell).outcome.metrics for cell in cells]


def test_a_cell_is_put_off_while_another_process_makes_what_it_starts_from(tiny_preset, data_dir, tmp_path):
    cells, store = grid(tmp_path)
    held, go = multiprocessing.Event(), multiprocessing.Event()

    def hold():
        with locked(store.work(cells[0])):
            held.set()
            go.wait(30)

    other = multiprocessing.get_context("fork").Process(target=hold)
    other.start()
    held.wait(30)
    assert waits(cells[1], store) and not waits(cells[0], store)
    go.set()
    other.join()
    assert not waits(cells[1], store)


def test_more_jobs_than_cores_are_refused(two_cores):
    with pytest.raises(SuiteError, match="3 jobs are more than the 2 cores.*give --jobs 1 to 2"):
        jobs.check_jobs(3)
    jobs.check_jobs(2)


def test_a_failed_cell_and_a_dead_process_are_told(tiny_preset, data_dir, tmp_path, two_cores, monkeypatch):
    cells, store = grid(tmp_path)
    monkeypatch.setattr(jobs, "run_worker", lambda work: os._exit(7))
    with pytest.raises(RunFailed, match="2 of 2 processes ended with code 7"):
        jobs.run_in_processes(cells, store, data_dir, 2, {}, start="fork")


def test_ctrl_c_of_a_terminal_leaves_checkpoints_and_records(tiny_preset, data_dir, tmp_path, two_cores):
    """A terminal signals the whole group of processes: each worker has to write its checkpoint all the same."""
    cells, store = grid(tmp_path)
    run_cells(cells[:1], store, data_dir)
    rows = [replace_steps(cell, 4000) for cell in cells[1:3]]
    group = multiprocessing.get_context("fork").Process(target=alone, args=(rows, store, data_dir))
    group.start()
    wait_for(lambda: all(list(store.work(cell).glob("*recover*.jsonl")) for cell in rows), 60)
    os.killpg(group.pid, signal.SIGINT)
    group.join(60)
    assert group.exitcode == 130
    assert [store.read(cell).status for cell in rows] == ["cancelled", "cancelled"]
    assert all("stopped at step" in store.read(cell).error for cell in rows)
    assert all(list(store.work(cell).glob("*.ckpt")) for cell in rows)


@pytest.mark.parametrize(
    ("came", "told"),
    [
        ([signal.SIGINT], [signal.SIGTERM]),
        ([signal.SIGINT, signal.SIGINT], [signal.SIGTERM, signal.SIGINT]),
        ([signal.SIGINT, signal.SIGTERM], [signal.SIGTERM, signal.SIGTERM]),  # a launcher's, after the terminal's
    ],
)
def test_a_second_ctrl_c_interrupts_workers_at_once(came, told, monkeypatch):
    sent = []
    monkeypatch.setattr(jobs.os, "kill", lambda pid, number: sent.append(number))
    with jobs._passing_signals([SimpleNamespace(pid=1, is_alive=lambda: True)]) as stop:
        for number in came:
            signal.raise_signal(number)
    assert (stop.came, sent) == (came, told)


def replace_steps(cell, steps):
    """The cell with a recovery that does not end during a test."""
    settings = {f"{cell.parsed.method}.recover.steps": str(steps)}
    return dataclasses.replace(cell, row=with_settings(cell.row, settings, cell.setting))


def alone(cells, store, data_dir):
    """Run cells in a group of processes of its own."""
    os.setpgid(0, 0)
    try:
        jobs.run_in_processes(cells, store, data_dir, 2, {}, start="fork")
    except SuiteError as error:
        os._exit(error.exit_code)


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_failing_cell_is_tried_once(tiny_preset, data_dir, tmp_path, two_cores, monkeypatch):
    tried = tmp_path / "tried"

    def fail(cell, store, context, report):
        with tried.open("a") as stream:
            stream.write("x")
        raise SuiteError("broken", "mend it")

    cells, store = grid(tmp_path)
    run_cells(cells[:1], store, data_dir)
    monkeypatch.setattr("benchmark.runs.runner._run", fail)
    with pytest.raises(RunFailed, match="1 of 1 cells failed.*broken"):
        jobs.run_in_processes(cells[1:2], store, data_dir, 2, {}, start="fork")
    assert tried.read_text() == "x"


def test_a_signal_reaches_the_workers(tiny_preset, data_dir, tmp_path, two_cores, monkeypatch):
    cells, store = grid(tmp_path)

    def sleep(work):
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        time.sleep(60)

    monkeypatch.setattr(jobs, "run_worker", sleep)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    try:
        with pytest.raises(RunCancelled, match="same command"):
            jobs.run_in_processes(cells, store, data_dir, 2, {}, start="fork")
    finally:
        signal.signal(signal.SIGALRM, before)


def test_what_failed_before_the_grid_began_is_still_to_be_run(tiny_preset, tmp_path):
    cells, store = grid(tmp_path)
    for cell in cells[:2]:
        store.write(cell, unfinished_record(cell, now(), "failed", "loss is nan"))
    os.utime(store.path(cells[0]), (1, 1))
    assert jobs.run_since(cells, store, began=time.time() - 60) == [cells[1].name]


def test_a_worker_that_was_being_started_when_a_signal_came_hears_of_it(monkeypatch):
    told = []
    monkeypatch.setattr(os, "kill", lambda pid, number: told.append((pid, number)))
    workers = [SimpleNamespace(pid=pid, is_alive=lambda: True) for pid in (11, None, None)]
    stop = jobs._Stop(workers)
    stop.tell_new()
    assert not told
    stop(signal.SIGTERM, None)
    for worker, pid in zip(workers[1:], (12, 13), strict=True):
        worker.pid = pid
        stop.tell_new()
    assert told == [(pid, signal.SIGTERM) for pid in (11, 12, 13)]
