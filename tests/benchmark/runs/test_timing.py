"""What a grid will take: from FLOPs before anything is loaded, and from timed steps."""

from types import SimpleNamespace

import pytest

from benchmark.grid.cells import plan
from benchmark.grid.cost import cost, passes
from benchmark.models.registry import get_model
from benchmark.records.store import Store
from benchmark.runs.progress import GridProgress, duration
from benchmark.runs.runner import run_cells
from benchmark.runs.timing import zero_shot_sequences
from benchmark.tasks.multiple_choice.items import Item
from vtrans.settings import QUICK


def test_a_grid_says_what_it_will_take_before_it_trains(tiny_preset, data_dir, tmp_path):
    cells = plan("glue", "tiny", ["VTrans-s50"], ["sst2"], [0])
    store = Store(tmp_path / "results", "glue", "tiny")
    told = []
    run_cells(cells, store, data_dir, announce=lambda found: told.append((found, store.complete(cells))))
    (found, complete), *more = told
    assert not complete and not more
    assert list(found.cells) == [cells[0].teacher, *cells]  # the teacher is missing, and comes first
    assert all(0 < seconds < 60 for seconds in found.cells.values())
    assert found.precision == "fp32" and "training runs in fp32" in found.lines()[0]
    assert "for 2 cells" in found.lines()[-1]


def test_zero_shot_choices_count_by_their_characters():
    items = [Item((("a" * 100, "b" * 20), ("a" * 100, "b" * 36)), 0, (20, 36))]
    context = SimpleNamespace(zero_shot={"piqa": items, "arc_easy": items}, max_length=16)
    assert zero_shot_sequences(context) == 2 * 256 / 4 / 16


def test_passes_follow_the_stages():
    dense, vtrans, fast = plan("glue", "quick", ["dense", "VTrans-s60", "Faster-VTrans-s60"])
    rows = 7000
    assert QUICK.finetune and passes(dense, rows, 0).training == QUICK.finetune.steps * 32 * 3
    prune, recover = QUICK.prune.steps * 32, QUICK.recover.steps * 32
    taught = min(rows, prune) + min(rows, recover)  # rows that the teacher answers, once for each stage
    assert passes(vtrans, rows, 0).training == pytest.approx(3 * (prune + 0.4 * recover) + taught)
    subset, steps = 210, QUICK.fast_prune.steps + QUICK.fast_recover.steps
    assert passes(fast, rows, 0).training == steps * 32 * 2 + 2 * subset  # no backward pass to frozen weights
    joint = plan("glue", "quick", ["Infor-Coef-4x"])[0]
    assert passes(joint, rows, 0).training == pytest.approx(QUICK.tokens.steps * 32 * 3 * (0.4 + 1 / 12))


def test_cost_of_a_paper_s_grid_is_of_the_order_of_gpu_days():
    cells = plan("glue", "paper", ["VTrans-s60"], ["sst2"], [0])
    found = cost(cells)
    bert = get_model("bert-base").shape
    assert bert.parameters == pytest.approx(109e6, rel=0.02)
    assert bert.macs(128) == pytest.approx(11.17e9, rel=0.01)  # 22.5 GFLOPs, the figure of CoFi's paper
    by_hand = 2 * bert.macs(13.3) * 67349 * (20 * 3 + 1 + 20 * 3 * 0.4 + 1)
    assert found.flops == pytest.approx(by_hand, rel=0.02)
    assert 1.9e9 < found.memory < 20e9
    assert found.disk > 4 * bert.parameters


def test_time_left_follows_the_pace(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("benchmark.runs.progress.time.monotonic", lambda: now[0])
    watch = GridProgress(["a", "b"])
    assert watch.left() == 0
    watch.expect({"a": 10.0, "b": 30.0})
    assert watch.left() == 40
    with watch("a"):
        now[0] += 20
    assert watch.left() == 60  # twice as slow as foreseen
    assert [duration(s) for s in (5, 300, 7200)] == ["5 s", "5 min", "2.0 h"]
