"""The loop: resume is bit-equal, broken losses are named, Ctrl-C leaves a checkpoint."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from jobs import METHODS, SCHEDULE, new_state
from tiny import tiny_bert, tiny_examples

from vtrans.data.examples import padded_width
from vtrans.errors import RunCancelled, RunFailed, SuiteError
from vtrans.methods.stages import Finetune
from vtrans.objectives.base import TaskObjective
from vtrans.settings import Schedule
from vtrans.training.checkpoint import Pace, StageFiles
from vtrans.training.loop import Loop, RunContext, check_finite, fit, stop_on_interrupt


def same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    state = two.state_dict()
    return all(torch.equal(value, state[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("stop_at", [("prune", 7), ("recover", 5)])
def test_stopped_and_resumed_equals_uninterrupted(name, stop_at, tmp_path):
    stage, step = stop_at
    if name == "Faster-VTrans" and stage == "recover":
        stage = "tunescales"
    whole = METHODS[name].compress(new_state())
    run_context = RunContext(tmp_path)

    def stop(label: str, done: int, total: int, numbers: dict) -> None:
        run_context.stop = label.endswith(stage) and done == step

    run_context.report = stop
    with pytest.raises(RunCancelled, match=f"step {step} of 12"):
        METHODS[name].compress(new_state(run_context))
    resumed = METHODS[name].compress(new_state(RunContext(tmp_path)))
    assert same(whole, resumed)


CHILD = """
import sys, torch
sys.path += [{tests!r}, {tests!r} + "/vtrans"]
from jobs import METHODS, new_state
from vtrans.saving.pruned import save_pruned
from vtrans.training.loop import RunContext
def slow(label, done, total, numbers):
    print(label, done, flush=True)
    import time; time.sleep(0.05)
from pathlib import Path
small = METHODS["VTrans"].compress(new_state(RunContext(Path({folder!r}), report=slow, every=0.0)))
save_pruned(small, {folder!r} + "/out")
"""


def test_killed_in_the_middle_of_pruning_and_run_again_ends_bit_equal(tmp_path):
    tests = str(Path(__file__).parents[2])
    command = [sys.executable, "-W", "ignore", "-c", CHILD.format(tests=tests, folder=str(tmp_path))]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.split() == ["0-prune", "6"]:
                child.send_signal(signal.SIGKILL)
                break
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    again = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    first = int(again.stdout.split()[1])
    assert 1 < first <= 8  # it went on, and did not start over
    from vtrans.saving.pruned import load_pruned

    assert same(METHODS["VTrans"].compress(new_state()), load_pruned(tmp_path / "out"))


def test_log_has_every_term_and_no_step_twice(tmp_path):
    run_context = RunContext(tmp_path)
    run_context.report = lambda label, done, total, numbers: setattr(
        run_context, "stop", done == 11 and not (tmp_path / "seen").exists()
    )
    with pytest.raises(RunCancelled):
        METHODS["VTrans"].compress(new_state(run_context))
    with (tmp_path / "0-prune.jsonl").open("ab") as stream:  # what a crash may leave behind
        stream.write(b'xx}\n\xff\xfe\n{"loss": 1}\n[1]\n{"step": 1')
    METHODS["VTrans"].compress(new_state(RunContext(tmp_path)))
    lines = [json.loads(line) for line in (tmp_path / "0-prune.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 10, 11]
    assert {"prediction", "layer", "constraint", "information", "expected", "real", "lambda1"} <= set(lines[-1])


def test_damaged_checkpoint_is_set_aside_and_training_starts_over(tmp_path):
    whole = METHODS["VTrans"].compress(new_state(RunContext(tmp_path)))
    (tmp_path / "0-prune.ckpt").write_bytes(b"not a checkpoint")
    again = METHODS["VTrans"].compress(new_state(RunContext(tmp_path)))
    assert (tmp_path / "0-prune.corrupt").exists()
    assert same(whole, again)


def test_a_checkpoint_with_other_parameters_is_named(tmp_path):
    METHODS["VTrans"].compress(new_state(RunContext(tmp_path)))
    state = torch.load(tmp_path / "0-prune.ckpt", weights_only=False)
    state["parameters"]["gates"] = {f"old_{name}": value for name, value in state["parameters"]["gates"].items()}
    torch.save(state, tmp_path / "0-prune.ckpt")
    with pytest.raises(SuiteError, match="the checkpoint of 0-prune is of another version.*of the gates; remove"):
        METHODS["VTrans"].compress(new_state(RunContext(tmp_path)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_term_is_named(value):
    with pytest.raises(RunFailed, match="'layer' is .* at step 5 of prune") as caught:
        check_finite({"prediction": torch.tensor(1.0), "layer": torch.tensor(value)}, 5, "prune")
    assert caught.value.exit_code == 1


def test_non_finite_loss_stops_before_it_reaches_a_weight():
    broken = new_state()
    with torch.no_grad():
        broken.teacher.model.classifier.weight[0, 0] = float("inf")
    before = {k: v.clone() for k, v in broken.model.state_dict().items()}
    with pytest.raises(RunFailed, match="'task'"):
        Finetune(SCHEDULE).run(broken)
    after = broken.model.state_dict()
    assert all(torch.equal(v, after[k]) or not torch.isfinite(v).all() for k, v in before.items())


def test_accumulation_changes_nothing_but_rounding():
    def train(accumulate: int) -> torch.nn.Module:
        schedule = Schedule(steps=3, batch=12, lr=1e-4, precision="fp32", accumulate=accumulate)
        work = new_state()
        for module in work.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        work.model.config._attn_implementation = "eager"
        Finetune(schedule).run(work)
        return work.model

    one, three = train(1).state_dict(), train(3).state_dict()
    for name, value in one.items():
        torch.testing.assert_close(value, three[name], atol=1e-4, rtol=1e-2)


def test_all_parts_of_a_batch_are_padded_alike():
    examples, seen = tiny_examples(), list[int]()
    model = tiny_bert()
    model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["input_ids"].shape[1]), with_kwargs=True)
    loop = Loop(TaskObjective(model), examples, Schedule(steps=2, batch=8, accumulate=2, precision="fp32"), 0, "task")
    loop.step(0)
    wanted = padded_width([examples.lengths[row] for row in loop.batches[0]], max(examples.lengths))
    assert seen == [wanted] * 2


def test_first_interrupt_sets_the_flag_and_the_second_interrupts():
    run_context = RunContext()
    with stop_on_interrupt(run_context):
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.01)
        assert run_context.stop
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_schedule():
    schedule = Schedule(epochs=2, batch=10, warmup=0.2)
    assert schedule.total(50) == 10
    assert [round(schedule.lr_factor(i, 10), 2) for i in (0, 1, 2, 9)] == [0.5, 1.0, 1.0, 0.12]
    assert Schedule(steps=4, decay="constant").lr_factor(3, 4) == 1.0


def test_fit_trains(examples):
    from vtrans.objectives.base import TaskObjective

    model, seen = tiny_bert(seed=5), []
    run_context = RunContext(report=lambda label, done, total, numbers: seen.append(numbers["task"]))
    schedule = Schedule(steps=60, batch=16, lr=3e-3, precision="fp32", embeddings=True)
    fit(TaskObjective(model), examples, schedule, 0, "finetune", run_context)
    assert sum(seen[-5:]) < 0.5 * sum(seen[:5])


def test_a_full_disk_gives_one_line_and_leaves_no_part(tmp_path, monkeypatch):
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    files = StageFiles(tmp_path, "0-prune")
    files.write({"step": 1})
    monkeypatch.setattr("vtrans.training.checkpoint.os.fsync", full)
    with pytest.raises(RunFailed, match=r"cannot write .*0-prune.ckpt \(.*No space left on device\); free some space"):
        files.write({"step": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["0-prune.ckpt"]
    assert files.read() == {"step": 1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_signals_stop_after_a_checkpoint(number, tmp_path):
    run_context = RunContext(tmp_path)
    run_context.report = lambda name, step, total, numbers: signal.raise_signal(number) if step == 3 else None
    before = signal.getsignal(number)
    with pytest.raises(RunCancelled, match="stopped at step"):
        METHODS["VTrans"].compress(new_state(run_context))
    assert (tmp_path / "0-prune.ckpt").exists() and signal.getsignal(number) is before


def test_a_signal_after_the_last_step_stops_before_the_next_stage(tmp_path, monkeypatch):
    write = StageFiles.write

    def write_late(files, state):
        write(files, state)
        if state["step"] == SCHEDULE.steps:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(StageFiles, "write", write_late)
    with pytest.raises(RunCancelled, match="stopped after 0-prune"):
        METHODS["VTrans"].compress(new_state(RunContext(tmp_path)))
    assert not list(tmp_path.glob("2-*"))


def test_the_first_checkpoint_comes_soon_and_later_ones_less_often(tmp_path, monkeypatch):
    now, written = [0.0], []
    monkeypatch.setattr("vtrans.training.loop.time.monotonic", lambda: now[0])
    monkeypatch.setattr(StageFiles, "write", lambda self, state: written.append(state["step"]))

    def tick(*arguments) -> None:
        now[0] += 3.0

    schedule = Schedule(steps=30, batch=8, lr=1e-3, precision="fp32")
    fit(TaskObjective(tiny_bert()), tiny_examples(), schedule, 0, "s", RunContext(tmp_path, report=tick, every=12.0))
    gaps = [after - before for before, after in pairwise([0, *written])][:-1]
    assert gaps[0] <= 2 and gaps == sorted(gaps) and gaps[-1] > gaps[0] and written[-1] == 30


def test_a_stage_that_is_long_enough_has_one_after_its_first_step(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(StageFiles, "write", lambda self, state: written.append(state["step"]))
    monkeypatch.setattr("vtrans.training.checkpoint.RATE", 1e15)
    fit(TaskObjective(tiny_bert()), tiny_examples(), SCHEDULE, 0, "s", RunContext(tmp_path))
    assert written == [1, 12]


def test_checkpoints_take_a_small_share_however_slow_the_disk(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("vtrans.training.checkpoint.time.monotonic", lambda: now[0])
    pace, spent = Pace(every=30.0, size=400e6), 0.0
    assert pace.worth_one(left=200.0) and not pace.worth_one(left=50.0)
    while now[0] < 3000:
        now[0] += 0.5
        if pace.due():
            with pace.writing():
                now[0] += 2.0  # what one takes
                spent += 2.0
    assert 0.01 < spent / now[0] < 0.021


def test_of_two_ranks_that_find_one_damaged_checkpoint_both_start_anew(tmp_path, monkeypatch):
    files = StageFiles(tmp_path, "0-prune")
    files.checkpoint.write_bytes(b"damaged")
    load = torch.load

    def set_aside_meanwhile(path, *more, **options):
        try:
            return load(path, *more, **options)
        finally:
            path.unlink()

    monkeypatch.setattr(torch, "load", set_aside_meanwhile)
    assert files.read() is None
