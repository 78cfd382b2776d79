"""Tables read what runs wrote, and nothing else."""

import csv
import io

import pytest
from made_records import make_record

from benchmark.grid.cells import plan
from benchmark.records.store import Store
from benchmark.reports import differences, tables
from vtrans.errors import SuiteError


@pytest.fixture
def filled(tmp_path):
    """A store with dense and VTrans-s60 of three seeds, CoFi-s60 of one, and a failed run."""
    cells = plan("glue", "small", ["dense", "VTrans-s60", "CoFi-s60", "random-s60"], ["sst2"])
    store = Store(tmp_path, "glue", "small")
    for cell in cells:
        if cell.row == "dense":
            store.write(cell, make_record(cell, 90 + cell.seed, seconds=5))
        elif cell.row == "VTrans-s60":
            store.write(cell, make_record(cell, 88 + cell.seed, seconds=10))
        elif cell.row == "CoFi-s60" and cell.seed == 1:
            store.write(cell, make_record(cell, 87, seconds=20))
        elif cell.row == "random-s60" and cell.seed == 0:
            store.write(cell, make_record(cell, status="failed"))
    return store, cells


def test_a_language_models_control_recovers_by_adapters():
    by_row = {"random-LoRA-s20": ["adapters"], "random-s60": ["whole"], "random-LoRA-s60": ["adapters"], "CoFi-s60": []}
    assert differences.control_of("random", "Faster-VTrans-LLM-LoRA-s20", by_row) == ["adapters"]
    assert differences.control_of("random", "VTrans-s60", by_row) == ["whole"]
    assert not differences.control_of("CoFi", "VTrans-s60", by_row)


def test_markdown(filled):
    store, cells = filled
    tables.write(store, "small", cells)
    text = (store.folder / "table.md").read_text()
    table, differences = text.split("# Differences")
    rows = {
        line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]]
        for line in table.splitlines()
        if line.startswith("|")
    }
    # 91 less 89, seed by seed, which do not differ: no interval.
    (line,) = [" ".join(line.split()) for line in differences.splitlines() if line.startswith("| VTrans-s60")]
    assert line == "| VTrans-s60 | 3 | 89.0 [86.5, 91.5]² | -2.0 | – | +2.0 |"
    assert rows["dense"][0] == "91.0 ± 1.0"
    assert rows["VTrans-s60"] == [
        "89.0 ± 1.0",
        "40.0",
        "50.0",
        "2.00×",
        "4.00×",
        "2.50×",
        "1.50×",
        "2.50×",
        "0.75",
        "0.62",
        "2.00 ± 0.00",
        "1.00 ± 0.00",
    ]
    assert rows["CoFi-s60 †"][0] == "87.0"
    assert rows["CoFi-s60 †"][-2:] == ["4.00", "2.00"]
    assert not any(row.startswith("random-s60") for row in rows) and "random-s60" in text.split("Not run: ")[1]
    assert "n = 5" in text
    assert "seeds 0, 1, 2" in text


def test_what_pruning_kept_is_listed_run_by_run(tmp_path):
    store, cells = Store(tmp_path, "glue", "small"), plan("glue", "small", ["VTrans-s60", "dense"], ["sst2"])
    for cell in cells:
        record, pruning = (
            make_record(cell),
            {"kept": {"hidden": 384, "heads": [1, 0], "ffn": [7, 9]}, "threshold": 2.345},
        )
        report = {"pruning": pruning} if cell.row != "dense" else {}
        outcome = record.outcome.model_copy(update={"report": report})
        store.write(cell, record.model_copy(update={"outcome": outcome}))
    paths = tables.write(store, "small", cells)
    rows = [line for line in paths[-1].read_text().splitlines() if line.startswith("| VTrans")]
    assert paths[-1].name == "kept.md" and len(rows) == 3
    assert [cell.strip() for cell in rows[1].split("|")[2:-1]] == ["1", "–", "–", "2.35", "–", "384", "1, 0", "7, 9"]


def test_csv_has_every_complete_record_unrounded(filled):
    store, cells = filled
    tables.write(store, "small", cells)
    rows = list(csv.DictReader(io.StringIO((store.folder / "table.csv").read_text())))
    assert len(rows) == 7
    assert {row["value"] for row in rows if row["row"] == "dense"} == {"90.0", "91.0", "92.0"}


def test_latex_is_booktabs_and_ascii_signs(filled):
    store, cells = filled
    tables.write(store, "small", cells)
    text = (store.folder / "table.tex").read_text()
    assert "\\toprule" in text and "$\\pm$" in text and "÷" not in text


def test_no_records_is_an_error(tmp_path):
    with pytest.raises(SuiteError, match="run the suite first"):
        tables.write(Store(tmp_path, "glue", "small"), "small", plan("glue", "small"))


def test_costs_are_over_the_dense_model_of_another_suite(tmp_path):
    store = Store(tmp_path, "embeddings", "small")
    cells = plan("embeddings", "small", ["VTrans-total-s40", "CoFi-layers-total-s40"], ["sst2"], [0])
    store.of(cells[0].teacher).write(cells[0].teacher, make_record(cells[0].teacher, seconds=5))
    for cell, seconds in zip(cells, (20, 30), strict=True):
        store.write(cell, make_record(cell, seconds=seconds))
    tables.write(store, "small", cells)
    text = (store.folder / "table.md").read_text().split("# Differences")[0]
    costs = [[c.strip() for c in line.split("|")[-3:-1]] for line in text.splitlines() if "total-s40" in line]
    assert costs == [["4.00", "1.00"], ["6.00", "1.50"]]
    assert "dense fine-tuning 5 s" in text


def test_rows_beside_the_presets_own_stand_by_method_and_size():
    own = ["dense", "random-s60", "A-s60", "B-s60", "A-s95"]
    found = tables.in_order(own, ["A-s80", "random-s40", "A-s40", "C", "A-family-s60", "A-family-s40"])
    assert found == [
        "dense",
        *("random-s40", "random-s60"),
        *("A-s40", "A-s60", "A-s80", "B-s60", "A-s95"),
        *("C", "A-family-s40", "A-family-s60"),
    ]


def test_decoders_show_the_speed_of_generation(tmp_path):
    (cell,) = plan("llm", "small", ["dense"])
    store = Store(tmp_path, "llm", "small")
    record = make_record(cell)
    made = {"prompt": 128, "new": 32, "prefill": {"speedup": [1.0, 1.2, 1.3]}, "decode": {"speedup": [1.0, 1.7, 1.8]}}
    outcome = record.outcome.model_copy(update={"report": {"generation": made}, "metrics": {"perplexity": 30.0}})
    store.write(cell, record.model_copy(update={"outcome": outcome}))
    tables.write(store, "small", [cell])
    text = (store.folder / "table.md").read_text()
    assert "prefill speed-up" in text and "1.20×" in text and "decode speed-up" in text and "1.70×" in text
    assert "reading 128 tokens, and writing 32 after them with a cache" in text


def test_a_suite_whose_dense_models_lie_among_its_own_records_has_costs(tmp_path):
    store = Store(tmp_path, "search", "quick")
    cells = plan("search", "quick", ["dense", "CoFi-s95"], seeds=[0], split="dev")
    for cell in cells:
        store.write(cell, make_record(cell, seconds=5 if cell.is_dense else 20))
    assert all(cell.teacher.suite == "glue" for cell in cells)
    rows = {row.row: row for row in tables.build(store, cells)["rotten_tomatoes"]}
    assert rows["CoFi-s95"].cost(rows["CoFi-s95"].dense).mean == 4


def test_seconds_of_processors_with_other_units_are_not_compared(tmp_path):
    store = Store(tmp_path, "search", "quick")
    cells = plan("search", "quick", ["dense", "CoFi-s95"], seeds=[0], split="dev")
    for cell in cells:
        record = make_record(cell)
        hardware = record.provenance.hardware | {"capability": "AVX2" if cell.is_dense else "AVX512"}
        provenance = record.provenance.model_copy(update={"hardware": hardware})
        store.write(cell, record.model_copy(update={"provenance": provenance}))
    rows = {row.row: row for row in tables.build(store, cells)["rotten_tomatoes"]}
    assert rows["CoFi-s95"].cost(rows["CoFi-s95"].dense) is None
