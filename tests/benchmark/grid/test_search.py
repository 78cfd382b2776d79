"""The search gives every method as many trials, and never sees the reported rows."""

import pytest

from benchmark.grid.cells import plan
from benchmark.grid.presets.search import TRIALS
from benchmark.grid.suites import get_suite
from vtrans.errors import SuiteError


def test_every_method_has_as_many_trials():
    assert {len(trials) for row, trials in TRIALS.items() if row != "dense"} == {4}
    assert len(TRIALS["dense"]) == 3  # and the teacher itself


def test_trials_are_cells_of_their_own_on_held_out_rows():
    cells = plan("search", "medium", tasks=["sst2"], seeds=[0], split="dev")
    assert len({cell.key for cell in cells}) == len(cells) == len(get_suite("search").rows["medium"])
    assert {cell.split for cell in cells} == {"dev"}
    assert {cell.teacher.row for cell in cells} == {"dense"}


def test_never_by_validation():
    with pytest.raises(SuiteError, match="never by validation; give --split dev"):
        plan("search", "medium")


def test_medium_gives_all_methods_the_same_passes():
    for task in ("sst2", "mrpc", "qnli"):
        drawn = ["random-VTrans-widths-s80", "random-CoFi-widths-s80"]
        pruned = ["VTrans-s80", "CoFi-s80", "Fast-VTrans-long-s60", *drawn]
        rows = [*pruned, "random-s80", "magnitude-s80", "Fisher-recovered-s80"]
        cells = {cell.row: cell.method for cell in plan("glue", "medium", rows, [task], [0])}
        assert len({method.recover for method in cells.values()}) == 1
        assert len({cells[row].prune for row in pruned}) == 1
        (longer,) = plan("glue", "medium", ["dense-longer"], [task], [0])
        schedule = cells["VTrans-s80"]
        assert longer.method.finetune.steps == schedule.prune.steps + schedule.recover.steps
        assert longer.method.finetune.batch == schedule.recover.batch
