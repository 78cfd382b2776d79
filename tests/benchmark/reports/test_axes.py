"""An axis's table and figure follow from the records of both suites."""

import numpy as np
import pytest
from made_records import make_record

from benchmark.grid.axes import AXES, SIZES
from benchmark.grid.cells import plan
from benchmark.records.predictions import write_predictions
from benchmark.records.store import CUT, Store
from benchmark.reports import axes
from vtrans.errors import RunFailed, SuiteError


def test_table_and_figure(tmp_path):
    axis = AXES["noise"]
    for suite, plain in (("glue", True), ("ablations", False)):
        store = Store(tmp_path, suite, "medium")
        for cell in plan(suite, "medium", axis.rows(plain), ["sst2"]):
            store.write(cell, make_record(cell, 80 + cell.seed + (0 if plain else 2 + cell.seed / 10)))
    paths = axes.write("noise", tmp_path, "medium")
    text = paths[0].read_text()
    rows = [line for line in text.splitlines() if line.startswith("| sst2")]
    assert len(rows) == len(axis.points) * len(SIZES)
    assert sum("+2.1 [" in row and row.rstrip(" |").endswith("*") for row in rows) == 4
    assert "<svg" in paths[1].read_text()
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in axes.write("noise", tmp_path, "medium")] == before


def test_further_seeds_and_what_the_numbers_stand_on_are_shown(tmp_path):
    for suite, row in (("glue", "VTrans-s60"), ("ablations", "VTrans-s60[noise=token]")):
        store = Store(tmp_path, suite, "quick")
        for cell in plan(suite, "quick", [row], seeds=[0, 1]):
            store.write(cell, make_record(cell, 80 + cell.seed))
    text = axes.write("noise", tmp_path, "quick")[0].read_text()
    (default, token) = [line for line in text.splitlines() if line.startswith("| rotten_tomatoes")]
    assert "| 2       | 80.5" in default and "| 2       | 80.5" in token
    assert "seeds 0, 1" in text and "training in fp32" in text and "validation n = " in text


def test_settings_in_another_order_are_the_same_row(tmp_path):
    axis = AXES["distillation"]
    for suite, plain in (("glue", True), ("ablations", False)):
        store = Store(tmp_path, suite, "quick")
        for cell in plan(suite, "quick", axis.rows(plain)):
            store.write(cell, make_record(cell))
    assert len(axes.lines(axis, tmp_path, "quick")) == len(axis.points) * len(SIZES)


def test_rows_with_many_settings_have_names_that_a_disk_takes(tmp_path):
    axis = AXES["information"]
    for suite, plain in (("glue", True), ("ablations", False)):
        store = Store(tmp_path, suite, "quick")
        for cell in plan(suite, "quick", axis.rows(plain)):
            write_predictions(store.path(cell), {"prediction": np.zeros(4, dtype=int)})
            store.write(cell, make_record(cell))
            store.work(cell).mkdir(parents=True)
            assert Store(tmp_path, suite, "quick").state(cell) == "done"
    found = axes.lines(axis, tmp_path, "quick")
    assert len(found) == len(axis.points) * len(SIZES)
    assert any(CUT in path.name for path in store.runs.glob("*.json"))
    assert len({path.name for path in store.runs.glob("*.json")}) == len(axis.rows(False))


def test_nothing_run_says_what_to_run(tmp_path):
    with pytest.raises(SuiteError, match="run vtrans-bench run ablations --preset medium --axis noise"):
        axes.write("noise", tmp_path, "medium")


def test_an_axis_of_which_all_failed_says_why(cli_call, data_dir, monkeypatch):
    def fail(*rest) -> None:
        """Nothing but a failure."""
        raise RunFailed("6 of 6 cells failed: the loss is nan", "see plan")

    monkeypatch.setattr("benchmark.commands.run.run_grid", fail)
    code, _, err = cli_call("run", "ablations", "--preset", "medium", "--axis", "noise", "--data-dir", str(data_dir))
    assert code == 1 and "the loss is nan" in err and "has a record" not in err


def test_an_axis_runs_from_the_command_line(cli_call, data_dir, monkeypatch):
    ran = []

    def run(todo, store, *rest) -> None:
        """Records in the place of runs."""
        ran.extend((store.suite, cell.row) for cell in todo)
        for cell in todo:
            store.write(cell, make_record(cell))
        if len(ran) == 2:
            raise RunFailed("1 of 2 cells failed", "see plan")  # the rest of the axis is run and shown

    monkeypatch.setattr("benchmark.commands.run.run_grid", run)
    common = ["--preset", "medium", "--axis", "noise"]
    chosen = ["--tasks", "sst2", "--seeds", "0", "--data-dir", str(data_dir)]
    code, out, err = cli_call("run", "ablations", *common, *chosen)
    assert code == 1 and "1 of 2 cells failed" in err
    assert [suite for suite, _ in ran] == ["glue"] * 2 + ["ablations"] * 4
    assert out.count("VTrans-s95[noise=") == 2
    assert cli_call("tables", "ablations", *common)[0] == 0
    for refused in (
        ["run", "glue"],
        ["run", "ablations", "--split", "dev"],
        ["run", "ablations", "--methods", "VTrans"],
    ):
        code, _, err = cli_call(*refused, *common, *chosen)
        assert code == 2 and "--axis" in err
