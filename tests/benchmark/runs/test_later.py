"""Latencies measured after a run: of the recorded widths, once, and shown in the table with their machine."""

import launched
import pytest
from tiny import FAMILIES

from benchmark.grid.cells import plan
from benchmark.records.store import Store
from benchmark.records.timings import read_timing, timed
from benchmark.reports import tables
from benchmark.runs.later import of_widths, time_records, to_be_timed
from benchmark.runs.runner import run_cells
from vtrans.anatomy import Widths, anatomy_of
from vtrans.errors import SuiteError


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_given_widths_has_them(family):
    model = FAMILIES[family]()
    anatomy = anatomy_of(model)
    wanted = {
        "hidden": anatomy.hidden - 4,
        "heads": [max(1, n - 1) for n in anatomy.heads],
        "ffn": [n - 3 - i for i, n in enumerate(anatomy.ffn)],
    }
    assert Widths.of(of_widths(model, wanted)).to_json() == wanted


def test_a_record_without_latency_is_timed_once(tmp_path, tiny_preset, data_dir):
    cells = plan("glue", "tiny", ["dense", "random-s50", "Transkimmer"], ["sst2"], [0])
    store = Store(tmp_path, "glue", "tiny", 0)
    run_cells(cells, store, data_dir, timed=False)
    assert [cell.row for cell in to_be_timed(cells, store)] == ["dense", "random-s50"]  # dropped tokens are weights
    record = store.read(cells[1])
    assert record.outcome.latency == [] and record.outcome.time_speedup(0) is None
    before = tables.markdown("glue", "tiny", tables.build(store, cells), tables.loader(store.root))
    assert time_records(cells, store, data_dir) == 2 and time_records(cells, store, data_dir) == 0
    found = timed(store, cells[1], record)
    assert found.outcome.time_speedup(0) > 0 and store.read(cells[1]) == record
    after = tables.markdown("glue", "tiny", tables.build(store, cells), tables.loader(store.root))
    assert after.count("–") < before.count("–")
    assert found.outcome.report == record.outcome.report  # a classifier generates nothing
    path = store.folder / "timings" / store.path(cells[1]).name
    assert read_timing(store.path(cells[1]), cells[1].key).widths == record.outcome.report["widths"]
    busy = record.model_copy(
        update={"outcome": record.outcome.model_copy(update={"latency": found.outcome.latency[:1]})}
    )
    assert timed(store, cells[1], busy) == found  # what was measured later stands in the place of a run's own
    assert time_records(cells[:1], store, data_dir, again=True) == 1
    whole = path.read_text()
    changes = (
        ('"batch": 1,', '"batch": 2,', "was changed after it was written"),
        (cells[1].key, cells[0].key, "of another run"),
        ('"threads"', '"threds"', "is no timing"),
        (whole, "{}", "is no timing; remove it"),
    )
    for old, new, message in changes:
        assert old in whole
        path.write_text(whole.replace(old, new))
        with pytest.raises(SuiteError, match=message):
            read_timing(store.path(cells[1]), cells[1].key)
    path.unlink()
    path.mkdir()
    with pytest.raises(SuiteError, match="is no timing"):
        read_timing(store.path(cells[1]), cells[1].key)
    assert timed(store, cells[1], record) == record  # reports name it in a warning and show the rest


def test_a_decoder_without_latency_gets_its_speed_of_generation(tmp_path):
    launched.make(tmp_path)
    with launched.registered(tmp_path):
        cells = plan("llm", "tiny", ["dense", "random-LoRA-s40"], ["wikitext2"], [0])
        store = Store(tmp_path, "llm", "tiny", 0)
        run_cells(cells, store, tmp_path / "data", timed=False)
        record = store.read(cells[1])
        assert "generation" not in record.outcome.report
        time_records(cells, store, tmp_path / "data")
        found = timed(store, cells[1], record).outcome.report
        assert {name: value for name, value in found.items() if name != "generation"} == record.outcome.report
        assert found["generation"]["decode"]["speedup"][1] > 0
        assert "decode speed-up" in tables.markdown("llm", "tiny", tables.build(store, cells), tables.loader(tmp_path))
