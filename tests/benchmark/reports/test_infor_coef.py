"""The Infor-Coef paper's tables and figures: built from records, beside what the paper prints."""

import pytest
from made_records import make_record

from benchmark.grid.cells import plan
from benchmark.grid.rows import parse_row
from benchmark.records.schema import Outcome
from benchmark.records.store import Store
from benchmark.reports.infor_coef import printed as published
from benchmark.reports.infor_coef import tables as papers
from benchmark.reports.infor_coef.figures import FIGURE_2, FIGURE_3, FIGURE_4, points
from vtrans.errors import SuiteError

FIGURES = [f"figure{n}.{suffix}" for n in (2, 3, 4) for suffix in ("svg", "pdf")]


@pytest.fixture
def results(tmp_path):
    """Records of two rows on the paper's tasks, and of one ablation."""
    for suite, rows in (("glue", ["dense", "CoFi-s60", "Infor-Coef-4x"]), ("ablations", ["Infor-Coef-4x@2"])):
        store = Store(tmp_path, suite, "small")
        for cell in plan(suite, "small", rows, ["sst2", "mrpc"], [0]):
            record = make_record(cell)
            outcome = record.outcome.model_copy(update={"metrics": {"accuracy": 80.0, "f1": 85.0}})
            store.write(cell, record.model_copy(update={"outcome": outcome}))
    return tmp_path


def test_every_row_and_curve_is_a_row_of_the_suite():
    tables = [printed.row for printed in published.TABLE_2 + published.TABLE_3 if printed.row]
    curves = [row for figure in (FIGURE_2, FIGURE_3, FIGURE_4) for curve in figure.values() for row in curve]
    assert all(parse_row(row).name == row for row in tables + curves)
    planned = {cell.row for suite in ("glue", "ablations") for cell in plan(suite, "small")}
    assert {*tables, *curves} <= planned


def test_every_mark_has_its_footnote_and_every_printed_row_four_scores():
    for printed in published.TABLE_2 + published.TABLE_3:
        assert set(printed.marks) <= set(published.FOOTNOTES)
        assert len(printed.scores) in (0, 4)


def test_tables_and_figures_are_written_from_the_records(results):
    paths = papers.write(results, "small")
    assert [p.name for p in paths] == ["table2.md", "table3.md", *FIGURES]
    table = (results / "small" / "infor-coef" / "table2.md").read_text()
    row = next(line for line in table.splitlines() if "Infor-Coef-4x [e]" in line and "batch" in line)
    assert "4.2× / " in row and "91.2 / " in row and "90.6 / –" in row  # QNLI was not run
    assert "[a]" in table and "test set" in table
    before = {p: p.read_bytes() for p in paths}
    assert {p: p.read_bytes() for p in papers.write(results, "small")} == before


def test_points_are_those_of_the_records(results):
    found, records = papers.collect(results, "small")
    assert len(records) == 8
    outcomes = found["Infor-Coef-4x", "sst2"]
    assert isinstance(outcomes[0], Outcome)
    (point,) = points(("Infor-Coef-4x", "Infor-Coef-16x"), found, "sst2", "accuracy")
    assert point == (outcomes[0].macs.speedup("batch"), outcomes[0].metrics["accuracy"])


def test_no_record_is_an_error(tmp_path):
    with pytest.raises(SuiteError, match="no complete record of preset small"):
        papers.write(tmp_path, "small")
