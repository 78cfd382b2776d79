"""Zero-shot accuracies of a table: their standard errors are those of the answers, their mean is over tasks."""

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import make_record

from benchmark.grid.cells import plan
from benchmark.records.store import Store
from benchmark.reports import tables, zero_shot
from benchmark.reports.rows import TableRow


@given(st.lists(st.booleans(), min_size=2, max_size=300))
def test_the_standard_error_is_that_of_the_answers(hits):
    answers = 100.0 * np.array(hits)
    expected = answers.std(ddof=1) / np.sqrt(len(answers))
    assert zero_shot.standard_error(float(answers.mean()), len(answers)) == pytest.approx(float(expected), abs=1e-4)


def test_one_question_has_none():
    assert isnan(zero_shot.standard_error(100.0, 1))


def test_a_table_shows_them_and_their_mean(tmp_path):
    dense, small, other = plan("llm", "small", ["dense", "Faster-VTrans-LLM-s20", "Faster-VTrans-LLM-s35"])
    store = Store(tmp_path, "llm", "small")
    for cell, more in ((dense, {"piqa": 60.0, "piqa_norm": 50.0, "lambada": 30.0}), (small, {"piqa": 50.0})):
        record = make_record(cell)
        metrics = {"perplexity": 40.0, "bits_per_byte": 1.2, "lambada_perplexity": 60.0} | more
        asked = {name: count for name, count in (("piqa", 101), ("lambada", 401)) if name in more}
        outcome = record.outcome.model_copy(update={"metrics": metrics, "report": {"zero_shot_rows": asked}})
        store.write(cell, record.model_copy(update={"outcome": outcome}))
    record = make_record(other)
    outcome = record.outcome.model_copy(update={"metrics": {"perplexity": 50.0, "bits_per_byte": 1.3}})
    store.write(other, record.model_copy(update={"outcome": outcome}))
    tables.write(store, "small", [dense, small, other])
    text = (store.folder / "table.md").read_text().split("zero-shot\n")[1]
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == ["method", "piqa", "piqa_norm", "lambada", "mean", "− dense"]
    assert rows[2] == ["dense", "60.0 ± 4.9", "50.0 ± 5.0", "30.0 ± 2.3", "45.0 ± 2.7", "–"]
    assert rows[3] == ["Faster-VTrans-LLM-s20", "50.0 ± 5.0", "–", "–", "–", "–"]
    assert len(rows) == 4


def made_row(hits, dense):
    """A table row and what loads its answers; `hits` and `dense` by task, None where no answers were kept."""
    cells = plan("llm", "small", ["Faster-VTrans-LLM-s20", "dense"])
    records = [make_record(cell) for cell in cells]
    kept = dict(zip((record.key for record in records), (hits, dense), strict=True))
    return TableRow(cells[0].row, (records[0],), (records[1],), (), 1), lambda record: kept[record.key]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=200))
def test_the_difference_to_dense_is_by_question(pairs):
    ours, theirs = np.array(pairs).T
    row, load = made_row({"piqa": ours}, {"piqa": theirs})
    gap, error = zero_shot.against_dense(row, ["piqa"], load)
    differences = 100.0 * (ours.astype(float) - theirs)
    assert gap == pytest.approx(differences.mean())
    assert error == pytest.approx(differences.std(ddof=1) / np.sqrt(len(pairs)))


def test_the_difference_is_a_mean_over_tasks_and_wants_the_same_questions():
    ours, theirs = {"piqa": np.ones(4), "lambada": np.zeros(9)}, {"piqa": np.zeros(4), "lambada": np.zeros(9)}
    assert zero_shot.against_dense(*_with_tasks(ours, theirs)) == (50.0, 0.0)
    for other in ({"piqa": np.zeros(4)}, None, {"piqa": np.zeros(5), "lambada": np.zeros(9)}):
        assert zero_shot.against_dense(*_with_tasks(ours, other)) is None


def _with_tasks(ours, theirs):
    row, load = made_row(ours, theirs)
    return row, ["piqa", "lambada"], load
