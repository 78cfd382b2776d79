"""One matrix that every registered method joins: it runs, meets its size, resumes bit-equal, and stands in a table."""

import dataclasses

import pytest
import torch
from tiny import tiny_bert, tiny_examples, tiny_llama

from benchmark.grid.cells import Cell, plan
from benchmark.grid.methods import METHODS
from benchmark.grid.suites import SUITES, Preset
from benchmark.measure.predict import predict
from benchmark.records.store import Store
from benchmark.reports.tables import build
from benchmark.runs.runner import run_cells
from vtrans.data.windows import Windows
from vtrans.errors import RunCancelled
from vtrans.methods.base import CompressionState, check_packages
from vtrans.pruning.masking import apply_masks
from vtrans.pruning.size import Size, removed
from vtrans.pruning.surgery import materialise
from vtrans.settings import Budget, Schedule, Schedules, Setting
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext

SHORT = Schedule(steps=6, batch=8, lr=1e-3, precision="fp32")
SHORTEST = Schedules(*[SHORT] * 5, tokens=SHORT, token_search=SHORT)
SPARSITY = 0.5
IN_TABLES = [name for name, method in METHODS.items() if not method.decodes and not method.text_method]


def built(name: str):
    method = METHODS[name].build(Setting(SHORTEST, Budget(SPARSITY), scale="quick", length=16, layers=3))
    check_packages(method)
    return method


def new_state(name: str, context: RunContext | None = None) -> CompressionState:
    if METHODS[name].decodes:
        model, generator = tiny_llama(), torch.Generator().manual_seed(0)
        data = Windows.of(torch.randint(5, 60, (480,), generator=generator).tolist(), 16, pad=0)
    else:
        model, data = tiny_bert(), tiny_examples()
    return CompressionState(Teacher(model), data, 3, context or RunContext())


def parameters(model) -> list[torch.Tensor]:
    return list(model.state_dict().values())


@pytest.mark.parametrize("name", METHODS)
def test_it_runs_and_meets_its_size(name):
    method, state = built(name), new_state(name)
    small = method.compress(state)
    assert not small.training and not any(p.requires_grad for p in small.parameters())
    budget = method.target()
    assert (budget is not None) == (METHODS[name].sized and not METHODS[name].text_method)
    if budget:
        dense, size = Size.of(state.teacher.model), Size.of(small)
        amounts = [float(s.parameters(s.dense, budget.denominator)) for s in (size, dense)]
        assert 1 - amounts[0] / amounts[1] == pytest.approx(SPARSITY, abs=0.01)
    if METHODS[name].selector:
        lengths = predict(small, tiny_examples()).lengths
        assert lengths is not None and lengths.min() >= 1


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.sized and not method.text_method])
def test_masked_equals_materialised(name):
    """Up to the decision, the model under its masks computes what the one that is cut computes."""
    method, state = built(name), new_state(name)
    for stage in method.stages():
        if type(stage).__name__ == "Materialise":
            break
        stage.run(state)
    batch = {"input_ids": new_state(name).train.batch([0, 1])["input_ids"]}
    model = state.model.eval()
    with torch.no_grad():
        with apply_masks(model, state.decision):
            masked = model(**batch).logits
        cut = materialise(model, state.decision).eval()(**batch).logits
    torch.testing.assert_close(masked, cut, atol=1e-4, rtol=1e-4)
    size = Size.of(state.model)
    from vtrans.pruning.counts import Counts

    assert float(removed(method.target(), size, Counts.of(state.decision))) == pytest.approx(SPARSITY, abs=0.01)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("dense", "Fast-VTrans-long")])
def test_resumed_equals_uninterrupted(name, tmp_path):
    whole = built(name).compress(new_state(name))
    context = RunContext(tmp_path)

    def interrupt(stage, step, total, numbers):
        context.stop = step == total // 2

    context.report = interrupt
    with pytest.raises(RunCancelled):
        built(name).compress(new_state(name, context))
    resumed = built(name).compress(new_state(name, RunContext(tmp_path)))
    assert all(torch.equal(a, b) for a, b in zip(parameters(whole), parameters(resumed), strict=True))


def test_every_method_writes_a_record_and_stands_in_a_table(tiny_preset, data_dir, tmp_path, monkeypatch):
    sizes = {name: 40 if METHODS[name].family else 30 for name in IN_TABLES}
    rows = tuple(f"{name}-s{sizes[name]}" if METHODS[name].sized else name for name in IN_TABLES)
    preset: Preset = dataclasses.replace(
        tiny_preset, name="matrix", settings=tiny_preset.settings | {"TinyBERT-style.every": "2"}
    )
    monkeypatch.setitem(SUITES["glue"].presets, "matrix", preset)
    monkeypatch.setitem(SUITES["glue"].rows, "matrix", rows)
    cells, store = plan("glue", "matrix", tasks=["sst2"], seeds=[0]), Store(tmp_path / "results", "glue", "matrix")
    assert run_cells(cells, store, data_dir) == len(rows)
    records = store.complete(cells)
    assert [cell.row for cell in records] == list(rows)
    table = build(store, cells)["sst2"]
    assert [row.label for row in table] == [f"{row} †" for row in rows]  # one seed of two
    assert all(row.metric("accuracy") for row in table)
    for record in records.values():
        assert record.outcome.predictions and record.outcome.compute.peak_memory_bytes != 0
        assert record.row == "dense" or record.outcome.compute.training_flops > 0


def test_rows_of_every_suite_are_of_registered_methods():
    for name, suite in SUITES.items():
        for preset in suite.presets.values():
            for row in suite.rows[preset.name]:
                assert Cell(name, preset, preset.tasks[0], row, 0).parsed.method in METHODS
