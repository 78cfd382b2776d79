"""A whole grid on a tiny model: records, tables, resume, failures."""

import json
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark.grid.cells import plan
from benchmark.grid.methods import METHODS
from benchmark.grid.rows import parse_row
from benchmark.records.store import Store
from benchmark.reports.tables import build
from benchmark.runs import runner
from benchmark.runs.runner import run_cell, run_cells
from benchmark.runs.task_context import TaskContext
from benchmark.tasks.kind import Scored
from vtrans.errors import RunCancelled, RunFailed, SuiteError
from vtrans.pruning.size import Size
from vtrans.saving.pruned import load_pruned
from vtrans.tokens.macs import selector_parameters


def grid(tmp_path, **kwargs):
    cells = plan("glue", "tiny", tasks=["sst2"], **kwargs)
    return cells, Store(tmp_path / "results", "glue", "tiny")


def test_grid_from_data_to_tables(tiny_preset, data_dir, tmp_path):
    cells, store = grid(tmp_path, seeds=[0])
    assert run_cells(cells, store, data_dir) == len(cells)
    records = [store.read(cell) for cell in cells]
    for record, cell in zip(records, cells, strict=True):
        check_record(record, store.work(cell))
    assert [line.row for line in build(store, cells)["sst2"]] == [cell.row for cell in cells]


def check_record(record, work) -> None:
    outcome, small = record.outcome, load_pruned(work / "model")
    assert record.status == "complete"
    assert outcome.parameters.all == sum(p.numel() for p in small.parameters())
    size = Size.of(small)
    assert outcome.parameters.encoder == int(size.parameters(size.dense)) + selector_parameters(small)
    assert set(outcome.metrics) == {"accuracy"}
    assert record.data.evaluation_rows == 20
    assert [entry["batch"] for entry in outcome.latency] == [1, 32]
    assert all(entry["timed"] == 4 for entry in outcome.latency)
    if METHODS[parse_row(record.row).method].selector:
        assert len(outcome.tokens) == 2 and all(0 < share <= 1 for share in outcome.tokens)
        assert outcome.macs.compressed["batch"] == outcome.macs.compressed["sequence"]
    elif record.row == "dense":
        assert outcome.sparsity is None
        assert outcome.macs.compressed == outcome.macs.dense
    else:
        assert outcome.sparsity.real == pytest.approx(0.5, abs=0.01)
        assert all(outcome.macs.compressed[k] < outcome.macs.dense[k] for k in outcome.macs.dense)


def test_a_joint_row_starts_from_the_static_model_and_costs_what_both_cost(tiny_preset, data_dir, tmp_path):
    cells = plan("ablations", "tiny", tasks=["sst2"], seeds=[0])
    store = Store(tmp_path / "results", "ablations", "tiny")
    run_cells(cells, store, data_dir)
    record, base = store.read(cells[0]), store.of(cells[0].base).read(cells[0].base)
    assert base.row == "VTrans-s50" and base.suite == "glue"
    assert record.outcome.seconds["VTrans-s50"] == pytest.approx(sum(base.outcome.seconds.values()), abs=0.01)
    assert record.outcome.sparsity == base.outcome.sparsity
    folders = [store.of(cell).work(cell) / "model" for cell in (cells[0], cells[0].base)]
    joint, static = map(load_pruned, folders)
    assert {n: p.shape for n, p in static.named_parameters()}.items() <= {
        n: p.shape for n, p in joint.named_parameters()
    }.items()


LONGER = "Faster-VTrans-s50[scale_rate=0.02]"  # begins as Faster-VTrans-s50 does


def test_a_row_takes_stages_from_one_that_began_alike_and_its_record_says_so(tiny_preset, data_dir, tmp_path):
    outcomes = []
    for rows in ([LONGER], ["Faster-VTrans-s50", LONGER]):
        cells, store = grid(tmp_path / str(len(rows)), seeds=[0], rows=rows)
        run_cells(cells, store, data_dir)
        outcomes.append(store.read(cells[-1]).outcome)
    alone, after = outcomes
    assert "shared" not in alone.report and after.report["shared"] == {"1-prune": store.work(cells[0]).name}
    assert after.metrics == alone.metrics and after.parameters == alone.parameters
    assert after.compute.training_flops == alone.compute.training_flops
    first, last = (outcome.report["curves"]["1-prune"]["step"] for outcome in outcomes)
    assert {step for step in first if step % 10 == 1} | {first[-1]} == set(last)  # those of the log


@pytest.mark.parametrize("name", ["source_digest", "versions", "hardware"])
def test_other_code_packages_and_machines_share_no_stage(tiny_preset, data_dir, tmp_path, monkeypatch, name):
    cells, store = grid(tmp_path, seeds=[0], rows=["Faster-VTrans-s50", LONGER])
    run_cells(cells[:1], store, data_dir)
    monkeypatch.setattr(runner, name, lambda: {"changed": True})
    run_cells(cells[1:], store, data_dir)
    assert "shared" not in store.read(cells[1]).outcome.report


def test_rows_of_another_teacher_share_no_stage(tiny_preset, data_dir, tmp_path):
    cells, store = grid(tmp_path, seeds=[0], rows=["dense", "Faster-VTrans-s50", LONGER])
    run_cells(cells[:2], store, data_dir)
    path = store.work(cells[0]) / "model" / "model.safetensors"
    save_file({name: 1.01 * value for name, value in load_file(path).items()}, path, {"format": "pt"})
    run_cells(cells[2:], store, data_dir)
    assert "shared" not in store.read(cells[2]).outcome.report


def test_plug_ins_and_targets_in_latency_share_no_stage(tiny_preset, data_dir, tmp_path, monkeypatch):
    (cell,), store = grid(tmp_path, seeds=[0], rows=["Faster-VTrans-s50"])
    context = TaskContext.load(cell, data_dir, tmp_path / "work")
    assert runner.shared(cell, store, context) is not None
    (timed,), _ = grid(tmp_path, seeds=[0], rows=["Faster-VTrans-s50[budget.quantity=latency]"])
    assert runner.shared(timed, store, context) is None
    monkeypatch.setattr(type(cell.method), "__module__", "plug_in")
    assert runner.shared(cell, store, context) is None


def test_finished_grid_trains_nothing(tiny_preset, data_dir, tmp_path, monkeypatch):
    cells, store = grid(tmp_path, seeds=[0], rows=["dense", "VTrans-s50"])
    run_cells(cells, store, data_dir)
    before = {cell: store.path(cell).read_bytes() for cell in cells}
    monkeypatch.setattr(runner, "run_cell", lambda *a: pytest.fail("trained"))
    assert run_cells(cells, Store(tmp_path / "results", "glue", "tiny"), data_dir) == 0
    assert before == {cell: store.path(cell).read_bytes() for cell in cells}


def test_a_row_brings_its_teacher_along(tiny_preset, data_dir, tmp_path):
    cells, store = grid(tmp_path, seeds=[1], rows=["random-s50"])
    run_cells(cells, store, data_dir)
    assert store.read(cells[0].teacher).status == "complete"


def test_lost_teacher_weights_are_made_again_without_touching_the_record(tiny_preset, data_dir, tmp_path):
    cells, store = grid(tmp_path, seeds=[0], rows=["dense", "random-s50"])
    run_cells(cells[:1], store, data_dir)
    record = store.path(cells[0]).read_bytes()
    weights = store.work(cells[0]) / "model" / "model.safetensors"
    before = weights.read_bytes()
    weights.parent.joinpath("config.json").unlink()
    weights.unlink()
    run_cells(cells, store, data_dir)
    assert store.path(cells[0]).read_bytes() == record
    assert weights.read_bytes() == before


def test_the_same_run_gives_the_same_weights(tiny_preset, data_dir, tmp_path):
    weights = []
    for name in ("a", "b"):
        cells, store = grid(tmp_path / name, seeds=[0], rows=["dense", "VTrans-s50"])
        run_cells(cells, store, data_dir)
        weights.append((store.work(cells[1]) / "model" / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_a_broken_loss_leaves_a_failed_record_and_the_other_cells_done(tiny_preset, data_dir, tmp_path, monkeypatch):
    from vtrans.objectives.distillation import Distiller

    original = Distiller.losses

    def broken(self, student, batch, values=None, *more):
        terms = original(self, student, batch, values, *more)
        return {**terms, "layer": terms["layer"] * float("nan")} if values is not None else terms

    monkeypatch.setattr(Distiller, "losses", broken)
    cells, store = grid(tmp_path, seeds=[0], rows=["dense", "VTrans-s50", "random-s50"])
    with pytest.raises(RunFailed, match="1 of 3 cells failed.*'layer' is nan at step 0 of 0-prune"):
        run_cells(cells, store, data_dir)
    states = [store.read(cell).status for cell in cells]
    assert states == ["complete", "failed", "complete"]
    assert "'layer'" in store.read(cells[1]).error
    monkeypatch.setattr(Distiller, "losses", original)
    assert run_cells(cells, Store(tmp_path / "results", "glue", "tiny"), data_dir) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("row", ["dense", "VTrans-s50"])
def test_evaluation_ends_at_once_with_a_cancelled_record(row, number, tiny_preset, data_dir, tmp_path, monkeypatch):
    def interrupted(*arguments):
        signal.raise_signal(number)
        pytest.fail("the evaluation went on")

    cells, store = grid(tmp_path, seeds=[0], rows=["dense", row])
    context = TaskContext.load(cells[-1], data_dir, tmp_path)
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr("benchmark.runs.runner.measure", interrupted)
        with pytest.raises(RunCancelled, match="interrupted"):
            run_cell(cells[-1], store, context)  # whose dense model is trained and evaluated first
    assert {store.read(cell).status for cell in cells} == {"cancelled"}
    assert signal.getsignal(number) is before
    steps = []
    for cell in cells:
        run_cell(cell, store, context, lambda stage, step, total, numbers: steps.append(stage))
    assert {store.read(cell).status for cell in cells} == {"complete"}
    assert "0-finetune" not in steps


@pytest.mark.parametrize(("made", "status"), [("broken", "failed"), ("whole", "complete")])
def test_a_signal_waits_while_a_record_is_written(made, status, tiny_preset, data_dir, tmp_path, monkeypatch):
    (cell,), store = grid(tmp_path, seeds=[0], rows=["dense"])
    context, written = TaskContext.load(cell, data_dir, tmp_path), runner._write

    def write(*arguments):
        signal.raise_signal(signal.SIGTERM)
        written(*arguments)

    monkeypatch.setattr(runner, "_write", write)
    if made == "broken":
        monkeypatch.setattr(runner, "measure", lambda *arguments: 1 / 0)
    with pytest.raises(RunCancelled):  # a grid goes on after a cell that fails
        run_cell(cell, store, context)
    assert store.read(cell).status == status


def test_signals_end_the_computing_of_a_teachers_outputs(tiny_preset, data_dir, tmp_path, monkeypatch):
    def obtain(*arguments):
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("it was computed to the end")

    monkeypatch.setattr("vtrans.teaching.cache.TeacherCache.obtain", obtain)
    cells, store = grid(tmp_path, seeds=[0], rows=["dense", "random-s50"])
    with pytest.raises(RunCancelled, match="interrupted"):
        run_cell(cells[1], store, TaskContext.load(cells[1], data_dir, tmp_path))
    assert [store.read(cell).status for cell in cells] == ["complete", "cancelled"]


def test_a_second_sigterm_does_not_disturb_the_cancelled_record(tiny_preset, data_dir, tmp_path, monkeypatch):
    written = runner._write

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGTERM)

    def write(*arguments):
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            pytest.fail("it interrupted the writing")
        written(*arguments)

    monkeypatch.setattr(runner, "measure", interrupted)
    monkeypatch.setattr(runner, "_write", write)
    cells, store = grid(tmp_path, seeds=[0], rows=["dense", "random-s50"])
    with pytest.raises(RunCancelled):
        run_cell(cells[1], store, TaskContext.load(cells[1], data_dir, tmp_path))
    assert [store.read(cell).status for cell in cells] == ["cancelled"] * 2


def test_ctrl_c_leaves_a_cancelled_record_and_the_next_run_ends_as_if_never_stopped(tiny_preset, data_dir, tmp_path):
    cells, store = grid(tmp_path / "stopped", seeds=[0], rows=["dense", "VTrans-s50"])
    context = TaskContext.load(cells[0], data_dir, tmp_path)
    run_cell(cells[0], store, context)

    def interrupt(stage, step, total, numbers):
        if (stage, step) == ("0-prune", 5):
            assert threading.current_thread() is threading.main_thread()
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(RunCancelled, match="stopped at step 5 of 8"):
        run_cell(cells[1], store, context, interrupt)
    assert store.read(cells[1]).status == "cancelled"
    resumed = run_cell(cells[1], store, context)
    whole_cells, whole_store = grid(tmp_path / "whole", seeds=[0], rows=["dense", "VTrans-s50"])
    run_cells(whole_cells, whole_store, data_dir)
    models = [load_pruned(s.work(c[1]) / "model") for s, c in ((store, cells), (whole_store, whole_cells))]
    state = models[1].state_dict()
    assert all(torch.equal(v, state[k]) for k, v in models[0].state_dict().items())
    assert resumed.outcome.metrics == whole_store.read(whole_cells[1]).outcome.metrics


def test_dev_split_never_mixes_with_validation(tiny_preset, data_dir, tmp_path):
    validation, dev = grid(tmp_path, rows=["dense"])[0][0], grid(tmp_path, rows=["dense"], split="dev")[0][0]
    assert validation.key != dev.key
    context = TaskContext.load(dev, data_dir, tmp_path)
    assert len(context.train) + len(context.evaluation) <= 60


def test_dev_loads_no_zero_shot_questions(tiny_preset, data_dir, tmp_path):
    cells = [grid(tmp_path, rows=["dense"], split=split)[0][0] for split in ("dev", "validation")]
    dev, validation = (replace(cell, preset=replace(cell.preset, zero_shot=("piqa",))) for cell in cells)
    assert TaskContext.load(dev, data_dir, tmp_path).zero_shot == {}
    with pytest.raises(SuiteError, match="no zero_shot/piqa.jsonl"):
        TaskContext.load(validation, data_dir, tmp_path)


def test_record_says_where_it_came_from(tiny_preset, data_dir, tmp_path):
    cells, store = grid(tmp_path, seeds=[0], rows=["dense"])
    run_cells(cells, store, data_dir)
    content = json.loads(store.path(cells[0]).read_text())
    assert {"torch", "transformers", "python"} <= set(content["provenance"]["versions"])
    assert content["provenance"]["hardware"]["threads"] >= 1
    assert len(content["data"]["digest"]) == len(content["model"]["sha256"]) == 64
    assert content["config"]["method"]["finetune"]["steps"] == 8


def test_an_unforeseen_error_is_one_line_with_its_traceback_on_file(tiny_preset, data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "measure", lambda *a: 1 / 0)
    cells, store = grid(tmp_path, seeds=[0], rows=["dense"])
    with pytest.raises(RunFailed, match="ZeroDivisionError: division by zero; see .*traceback.txt"):
        run_cells(cells, store, data_dir)
    assert store.read(cells[0]).status == "failed"
    assert "ZeroDivisionError" in (store.work(cells[0]) / "traceback.txt").read_text()


def test_interrupted_outside_training_is_cancelled_too(tiny_preset, data_dir, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "measure", interrupt)
    cells, store = grid(tmp_path, seeds=[0], rows=["dense"])
    with pytest.raises(RunCancelled, match="run the same command"):
        run_cells(cells, store, data_dir)
    assert store.read(cells[0]).status == "cancelled"


def test_a_record_names_the_commit_that_its_process_began_with(tiny_preset, data_dir, tmp_path, monkeypatch):
    from benchmark.records import provenance

    heads = iter(["changed", "first", "changed", "second"])
    monkeypatch.setattr(provenance, "_git", lambda *arguments: next(heads))
    provenance.code.cache_clear()
    cells, store = grid(tmp_path, seeds=[0], rows=["dense", "random-s50"])
    run_cells(cells, store, data_dir)
    assert {store.read(cell).provenance.git_commit for cell in cells} == {"first"}
    provenance.code.cache_clear()


def test_a_cell_that_is_made_again_leaves_record_and_predictions_as_they_are(
    tiny_preset, data_dir, tmp_path, monkeypatch
):
    cells, store = grid(tmp_path, seeds=[0], rows=["dense"])
    context = TaskContext.load(cells[0], data_dir, tmp_path)
    run_cell(cells[0], store, context)
    before = {path.name: path.read_bytes() for path in store.runs.iterdir()}
    monkeypatch.setattr("benchmark.tasks.classification.kind.Classification.evaluate", other_predictions)
    run_cell(cells[0], store, context)
    assert before == {path.name: path.read_bytes() for path in store.runs.iterdir()}
    assert store.read(cells[0]).status == "complete"


def other_predictions(self, task, model, examples):
    return Scored({"accuracy": 50.0}, predictions={"prediction": np.zeros(len(examples), dtype=int)})


def test_a_family_prunes_once_and_writes_the_sizes_below_one_that_is_out_of_reach(
    tiny_preset, data_dir, tmp_path, monkeypatch
):
    from vtrans.pruning import calibration

    original = calibration.calibrate

    def calibrate(gates, size, budget, tolerance, threshold):
        if budget.sparsity > 0.7:  # of what the size below has left
            raise SuiteError("out of reach", "ask for less")
        return original(gates, size, budget, tolerance, threshold)

    monkeypatch.setattr(calibration, "calibrate", calibrate)
    monkeypatch.setattr(METHODS["VTrans-family"], "family", (0.4, 0.6, 0.9))
    cells, store = grid(tmp_path, seeds=[0], rows=["VTrans-family"])
    assert [cell.row for cell in cells] == ["VTrans-family-s40", "VTrans-family-s60", "VTrans-family-s90"]
    with pytest.raises(RunFailed, match="1 of 3 cells failed.*sparsity 0.9 of encoder parameters is out of reach from"):
        run_cells(cells, store, data_dir)
    low, high, beyond = (store.read(cell) for cell in cells)
    assert (low.status, high.status, beyond.status) == ("complete", "complete", "failed")
    assert high.outcome.sparsity.target == 0.6 and high.outcome.sparsity.real == pytest.approx(0.6, abs=0.02)
    assert high.outcome.report["pruning"]["expected_sparsity"] > 0.3  # of the dense model
    shared = high.outcome.seconds["VTrans-family-s40 0-prune"]
    assert shared == low.outcome.seconds["0-prune"] and "VTrans-family-s40 2-recover" not in high.outcome.seconds


def test_a_size_of_a_family_brings_those_below_along(tiny_preset, data_dir, tmp_path):
    cells, store = grid(tmp_path, seeds=[0], rows=["VTrans-family-s60"])
    run_cells(cells, store, data_dir)
    assert store.read(cells[0].below).status == store.read(cells[0]).status == "complete"
