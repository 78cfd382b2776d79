"""Rows against another row, or against a method at their own size."""

import pytest
from made_records import make_record

from benchmark.grid.cells import plan
from benchmark.records.store import Store
from benchmark.reports import compare, tables
from benchmark.statistics.comparison import loader
from benchmark.statistics.intervals import adjusted
from vtrans.errors import SuiteError

SCORES = {"dense": 90, "VTrans-s60": 88, "VTrans-s80": 85, "random-s60": 84, "random-s80": 80, "CoFi-s80": 82}


@pytest.fixture
def store(tmp_path):
    """Two seeds of six rows, CoFi with seed 1 alone; random units vary by seed, so that differences have a spread."""
    found = Store(tmp_path, "glue", "small")
    for cell in plan("glue", "small", list(SCORES), ["sst2"], [0, 1]):
        if cell.row != "CoFi-s80" or cell.seed == 1:
            found.write(cell, make_record(cell, SCORES[cell.row] + cell.seed * (1 + ("random" in cell.row))))
    return found


def found_by(store, rows, against):
    table = tables.build(store, tables.recorded_cells(store, "glue", "small"))
    return compare.lines(table, rows, against, loader(store.root))


def test_a_method_is_taken_at_each_rows_size(store):
    found = {(line.row, line.other): line.difference.value for line in found_by(store, [], "random")}
    assert found == {
        ("VTrans-s60", "random-s60"): 3.5,
        ("VTrans-s80", "random-s80"): 4.5,
        ("CoFi-s80", "random-s80"): 1.0,
    }


def test_a_row_is_taken_as_it_is_and_a_method_stands_for_its_sizes(store):
    found = {(line.row, line.other) for line in found_by(store, ["VTrans"], "random-s60")}
    assert found == {("VTrans-s60", "random-s60"), ("VTrans-s80", "random-s60")}


def test_scores_are_of_the_seeds_that_both_have(store):
    (line,) = found_by(store, ["CoFi-s80"], "VTrans")
    assert [each.value for each in line.scores] == [83, 86]
    assert line.difference.value == -3 and line.difference.seeds == 1 and line.p is None
    (turned,) = found_by(store, ["VTrans-s80"], "CoFi")
    assert [each.value for each in turned.scores] == [86, 83]


def test_p_is_corrected_for_the_lines_that_are_asked_for(store):
    found = found_by(store, [], "random")
    assert [line.p for line in found] == adjusted([line.difference.p for line in found])
    (alone,) = found_by(store, ["VTrans-s60"], "random")
    assert alone.p == alone.difference.p


def test_dense_may_be_a_row_of_the_suite_that_a_suite_starts_from(store, tmp_path):
    (cell,) = plan("embeddings", "small", ["VTrans-total-s20"], ["sst2"], [0])
    own = Store(tmp_path, "embeddings", "small")
    own.write(cell, make_record(cell, 87))
    path = compare.write(own, [], "dense", [])
    assert [c.strip() for c in path.read_text().splitlines()[-1].split("|")[1:-1]] == [
        *("sst2", "VTrans-total-s20", "dense", "1 × –", "87.0", "90.0", "-3.0", "–", "–"),
    ]


def test_the_file_is_named_by_what_rows_are_compared_with(store):
    path = compare.write(store, ["VTrans"], "random", ["sst2"])
    assert path.name == "against-random.md"
    assert "+3.5" in path.read_text() and "CoFi" not in path.read_text()


@pytest.mark.parametrize(
    ("rows", "against", "tasks", "said"),
    [
        (["VTran"], "random", [], "did you mean 'VTrans'"),
        ([], "random-s70", [], "unknown row with records 'random-s70'"),
        (["VTrans-s60"], "CoFi", [], "share no task, size and seed"),
        (["VTrans-s60"], "VTrans-s60", [], "share no task, size and seed"),
        ([], "random", ["mrpc"], "no complete record"),
        ([], "random", ["nothing"], "no record is of the task nothing"),
    ],
)
def test_bad_input(store, rows, against, tasks, said):
    with pytest.raises(SuiteError, match=said):
        compare.write(store, rows, against, tasks)
