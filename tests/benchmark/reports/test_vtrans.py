"""VTrans's tables show what was run, and print nothing as the paper's own."""

import pytest
from made_records import make_record

from benchmark.grid.cells import plan
from benchmark.grid.rows import parse_row
from benchmark.records.store import Store
from benchmark.reports.vtrans import printed, tables
from vtrans.errors import SuiteError


def test_rows_are_ones_that_the_suites_know():
    assert all(parse_row(row).name == row for table in tables.TABLES for row in table.rows)


def test_measured_rows_and_printed_ones(tmp_path):
    store = Store(tmp_path, "glue", "small")
    for row, accuracy, flops in (("VTrans-s60", 80, 4e12), ("Faster-VTrans-s60", 70, 1e12), ("CoFi-s60", 81, None)):
        for cell in plan("glue", "small", [row], ["sst2"]):
            record = make_record(cell, accuracy + cell.seed)
            compute = record.outcome.compute.model_copy(update={"training_flops": flops})
            outcome = record.outcome.model_copy(update={"compute": compute})
            store.write(cell, record.model_copy(update={"outcome": outcome}))
    (path,) = tables.write(tmp_path, "small")
    text = path.read_text()
    fast = text[text.index("## Fast-VTrans and Faster-VTrans") :]
    rows = {
        line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]]
        for line in fast.splitlines()[:8]
        if line.startswith("| ")
    }
    assert rows["Faster-VTrans-s60"] == ["71.0 [68.5, 73.5]", "0.25"]
    assert rows["CoFi-s60"][1] == "–"
    assert "## GPT-2" not in text  # nothing of it was run
    assert text.count("TVA-prune, table") == 5


def test_printed_means_recompute_but_for_the_one_that_is_remarked():
    table = printed.TVA[3]
    for row in table.rows:
        mean = sum(map(float, row[2:8])) / 6
        assert (abs(mean - float(row[8])) < 0.02) == (row[0] != "LLM-Pruner †"), row
    assert "50.87" in table.remark
    assert all(len(row) == len(t.heads) for t in (*printed.TVA, printed.COFI) for row in t.rows)


def test_nothing_run_is_an_error(tmp_path):
    with pytest.raises(SuiteError, match="no row of VTrans's tables has a record"):
        tables.write(tmp_path, "small")
