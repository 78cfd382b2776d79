"""Curves of a run: kept thin, shown while it goes on, and in its record."""

import json
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import make_record

from benchmark.commands import watch
from benchmark.commands.watch import board, left, signature, write_page
from benchmark.grid.cells import plan
from benchmark.records.store import Store
from benchmark.runs.curves import FRESH, POINTS, Curves, live_file, running, seconds_left
from benchmark.runs.progress import GridProgress
from benchmark.runs.runner import run_cells
from vtrans.training.checkpoint import StageFiles
from vtrans.training.loop import LOG_EVERY


@given(st.integers(1, 2000))
def test_a_stage_keeps_its_first_and_last_step_and_not_many_between(total):
    curves = Curves("cell")
    for step in range(1, total + 1):
        curves("prune", step, total, {"loss": 1 / step})
    kept = curves.series["prune"]["step"]
    assert (kept[0], kept[-1]) == (1, total) and kept == sorted(set(kept))
    assert min(total, POINTS) <= len(kept) <= 2.5 * POINTS + 2
    assert set(range(1, total, 10)) <= set(kept) or total >= 20 * POINTS  # steps that give all numbers
    assert len(curves.series["prune"]["loss"]) == len(kept)


@given(st.integers(1, 700), st.data())
def test_curves_of_a_run_that_went_on_begin_with_what_its_log_knows(total, data):
    went_on = data.draw(st.integers(0, total))  # steps that an earlier process, or another run, has made
    whole, rest = Curves("cell"), Curves("cell")
    with TemporaryDirectory() as folder:
        for step in range(1, total + 1):
            numbers = (
                {"loss": 1 / step, "real": 0.5} if (step - 1) % LOG_EVERY == 0 or step == total else {"loss": 1 / step}
            )
            whole("0-prune", step, total, numbers)
            if step > went_on:
                rest("0-prune", step, total, numbers)
            if "real" in numbers:
                StageFiles(Path(folder), "0-prune").append_log({"step": step - 1, **numbers})
        found, expected = rest.completed(Path(folder), ["0-prune"])["0-prune"], whole.series["0-prune"]
    points = list(zip(*(expected[name] for name in ("step", "loss", "real")), strict=True))
    logged = [each for each in points if each[0] > went_on or each[2] is not None]
    assert list(zip(*(found[name] for name in ("step", "loss", "real")), strict=True)) == logged


def test_a_damaged_log_and_one_of_no_stage_add_nothing(tmp_path):
    curves = Curves("cell")
    curves("0-prune", 2, 2, {"loss": 1.0})
    (tmp_path / "0-prune.jsonl").write_text('{"step": 0, "loss": 2.0}\n{"st\0\0}\n')
    (tmp_path / "1-older.jsonl").write_text('{"step": 0, "loss": 2.0}\n')
    assert curves.completed(tmp_path, ["0-prune"]) == {"0-prune": {"step": [2], "loss": [1.0]}}


def test_a_live_file_is_there_while_a_cell_runs_and_gone_when_it_ends(tmp_path):
    curves = Curves("sst2--VTrans", path=live_file(tmp_path))
    with pytest.raises(KeyboardInterrupt), curves.shown():
        curves("0-prune", 3, 3, {"real": 0.5})
        (found,) = running(tmp_path)
        assert (found["cell"], found["stage"], found["curves"]["0-prune"]["real"]) == ("sst2--VTrans", "0-prune", [0.5])
        raise KeyboardInterrupt
    assert running(tmp_path) == [] and not live_file(tmp_path).exists()


def test_a_live_file_of_a_killed_process_and_half_a_file_are_not_shown(tmp_path):
    path = live_file(tmp_path)
    Curves("cell", path=path)("0-prune", 1, 1, {"real": 0.5})
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"updated": time.time() - 2 * FRESH}))
    (path.parent / "1.json").write_text("{")
    assert running(tmp_path) == []


def test_numbers_that_json_does_not_know_are_left_out():
    curves = Curves("cell")
    for step, value in enumerate((1.0, float("inf"), float("nan"), 2.0), 1):
        curves("0-prune", step, 4, {"loss": value, "real": 0.5})
    assert curves.series == {"0-prune": {"step": [1, 4], "loss": [1.0, 2.0], "real": [0.5, 0.5]}}


def test_numbers_that_come_late_or_now_and_then_keep_the_others():
    curves = Curves("cell")
    for step, numbers in enumerate(({"loss": 4.0, "kept": 1.0}, {"loss": 3.0}, {"loss": 2.0, "norm": 0.5}), 1):
        curves("0-tokens", step, 4, numbers)
    curves("0-tokens", 4, 4, {"loss": 1.0, "norm": 0.4, "kept": 0.7})
    curves("1-recover", 1, 1, {"loss": 9.0})
    assert curves.series["0-tokens"] == {
        "step": [1, 2, 3, 4],
        "loss": [4.0, 3.0, 2.0, 1.0],
        "kept": [1.0, None, None, 0.7],
        "norm": [None, None, 0.5, 0.4],
    }
    assert curves.series["1-recover"] == {"step": [1], "loss": [9.0]}


def test_time_left_is_by_the_pace_of_the_stage_here(tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr("benchmark.runs.curves.time.time", lambda: next(clock))
    curves, path = Curves("cell", path=live_file(tmp_path)), live_file(tmp_path)
    curves("0-finetune", 1, 1, {"loss": 1.0})  # of the dense model, before
    curves("1-prune", 900, 1000, {"loss": 1.0})  # it goes on where it was stopped
    assert seconds_left(json.loads(path.read_text())) is None
    curves("1-prune", 950, 1000, {"loss": 1.0})
    found = json.loads(path.read_text())
    assert found["from"] == 900 and seconds_left(found) == pytest.approx(found["updated"] - found["since"])


def test_the_board_says_when_the_grid_is_to_end_while_a_cell_runs(tmp_path):
    watch = GridProgress(["a", "b"], plain=True, work=tmp_path)
    watch.expect({"a": 60.0, "b": 540.0})
    with watch("a") as report:
        Curves("a", report, live_file(tmp_path))("0-prune", 1, 9, {})
        (cell,) = running(tmp_path)
        assert left(cell) == "10 min of the grid"
    assert running(tmp_path)[0]["end"] is None and [path.suffix for path in (tmp_path / "live").iterdir()] == [".json"]


def test_the_page_is_written_after_a_change_alone(tmp_path, tiny_preset):
    store = Store(tmp_path, "glue", "tiny")
    before = signature(tmp_path, "tiny")
    store.write(cell := plan("glue", "tiny", ["dense"], ["sst2"], [0])[0], make_record(cell))
    after = signature(tmp_path, "tiny")
    assert before != after == signature(tmp_path, "tiny")
    Curves("sst2--CoFi", path=live_file(store.folder / "work"))("0-prune", 4, 4, {"real": 0.25})
    assert signature(tmp_path, "tiny") != after
    assert "no complete record" in write_page(tmp_path / "elsewhere", "tiny")


def test_a_damaged_record_does_not_end_the_board(tmp_path, tiny_preset, capsys):
    from rich.console import Console

    store = Store(tmp_path, "glue", "tiny")
    cell = plan("glue", "tiny", ["dense"], ["sst2"], [0])[0]
    store.write(cell, make_record(cell))
    store.path(cell).write_text(store.path(cell).read_text().replace("80.0", "99.0"))
    Console(width=200).print(board(tmp_path, "tiny", ["glue"], {}))
    assert "1 damaged" in capsys.readouterr().out


def test_what_cannot_be_shown_does_not_end_the_run(tmp_path):
    (tmp_path / "live").write_text("a file where the folder should be")
    curves = Curves("cell", path=live_file(tmp_path))
    curves("0-prune", 1, 1, {"real": 0.5})
    assert curves.path is None and curves.series["0-prune"]["real"] == [0.5]


def test_a_record_holds_curves_and_the_board_shows_cells_and_what_runs(tmp_path, tiny_preset, data_dir, capsys):
    from rich.console import Console

    cells = plan("glue", "tiny", ["dense", "VTrans-s50"], ["sst2"], [0])
    store = Store(tmp_path, "glue", "tiny", 0)
    run_cells(cells, store, data_dir, timed=False)
    curves = store.read(cells[1]).outcome.report["curves"]
    pruning = next(each for name, each in curves.items() if "prune" in name)
    assert pruning["step"][-1] == 8 and pruning["target"][-1] == 0.5
    assert len(pruning["expected"]) == len(pruning["real"]) == len(pruning["step"])
    Curves("sst2--CoFi", path=live_file(store.folder / "work"))("0-prune", 4, 4, {"real": 0.25})
    Console(width=200).print(board(tmp_path, "tiny", ["glue"], {}))
    shown = capsys.readouterr().out
    assert "2 done" in shown and "sst2--CoFi" in shown and "real 0.25" in shown and "0-prune 4/4" in shown


def test_records_are_read_once_for_all_looks(tmp_path, tiny_preset, monkeypatch):
    (cell, *_), known = plan("glue", "tiny", ["dense"], ["sst2"], [0]), {}
    store = Store(tmp_path, "glue", "tiny")
    store.write(cell, make_record(cell))
    looks = []
    monkeypatch.setattr(watch, "_read_state", lambda store, cell: looks.append(cell) or "done")
    for _ in range(3):
        board(tmp_path, "tiny", ["glue"], known)
    assert looks == [cell]
    os.utime(store.path(cell), (1, 1))
    board(tmp_path, "tiny", ["glue"], known)
    assert looks == [cell, cell]
