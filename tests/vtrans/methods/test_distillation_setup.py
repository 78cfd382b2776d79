"""A method that learns from kept outputs ends as one whose teacher runs; interrupted, as one that was not."""

from dataclasses import replace

import pytest
import torch
from jobs import METHODS, SCHEDULE
from tiny import tiny_bert, tiny_examples

from baselines.cofi import CoFi
from baselines.distilbert import DistilBert
from baselines.tinybert import TinyBert
from vtrans.errors import RunCancelled
from vtrans.methods.base import CompressionState
from vtrans.settings import Budget, Distillation
from vtrans.teaching.cache import TeacherCache
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext

LAYERS = {m: Distillation(match=m) for m in ("argmin", "random")}
RULES = {f"CoFi {m}": CoFi(Budget(0.5), SCHEDULE, SCHEDULE, distillation=d) for m, d in LAYERS.items()}
STUDENTS = {"DistilBERT": DistilBert(SCHEDULE), "TinyBERT": TinyBert(SCHEDULE, SCHEDULE, every=3, hidden=0.5, ffn=0.5)}
ALL = METHODS | RULES | STUDENTS


def state(folder=None, cap=2**30, **more):
    cache = TeacherCache(folder / "teacher", cap) if folder else None
    context = RunContext(folder=folder / "work" if folder else None, teacher_cache=cache, **more)
    return CompressionState(Teacher(load=tiny_bert), tiny_examples(), 3, context)


def parameters(model):
    return torch.cat([p.flatten() for p in model.parameters()])


@pytest.mark.parametrize("name", ALL)
def test_kept_outputs_teach_what_the_running_teacher_does(name, tmp_path):
    kept = state(tmp_path)
    small, plain = (ALL[name].compress(each) for each in (kept, state()))
    assert kept.run_context.teacher_cache.entries()
    assert [p.shape for p in small.parameters()] == [p.shape for p in plain.parameters()]
    torch.testing.assert_close(parameters(small), parameters(plain), atol=2e-3, rtol=2e-3)


def test_a_subset_keeps_its_own_rows_alone_and_the_report_says_what_is_kept(tmp_path):
    work = state(tmp_path)
    METHODS["Fast-VTrans"].compress(work)
    rows = len(work.report["subset"]["rows"])
    assert [note["rows"] for note in work.report["teacher"].values()] == [rows, rows]
    sizes = work.run_context.teacher_cache.entries().values()
    assert sum(sizes) >= work.report["teacher"]["1-prune"]["bytes"] > 0


def test_beyond_the_cap_the_teacher_runs_and_it_is_said(tmp_path, caplog):
    work = state(tmp_path, cap=1000)
    small, plain = (METHODS["VTrans"].compress(each) for each in (work, state()))
    assert torch.equal(parameters(small), parameters(plain))
    assert "the teacher runs in every step" in caplog.text
    assert all("allowed" in note for note in work.report["teacher"].values())


def test_the_teacher_is_let_go_while_its_outputs_serve(tmp_path):
    loads = []

    def load():
        loads.append(1)
        return tiny_bert()

    work = state(tmp_path)
    METHODS["VTrans"].compress(work)  # which fills the cache
    again = replace(work, teacher=Teacher(load=load), report={}, run_context=replace(work.run_context, folder=None))
    again.decision = again.transform = None
    again.model = tiny_bert()
    METHODS["VTrans"].compress(again)
    assert len(loads) == 2  # to start from, and for its digest and shape
    assert again.teacher._model is None


def test_interrupted_after_the_outputs_were_kept_it_ends_bit_equal(tmp_path):
    whole = METHODS["VTrans"].compress(state(tmp_path / "whole"))
    stopped = state(tmp_path / "stopped")

    def stop(stage, step, total, numbers):
        stopped.run_context.stop = stage == "2-recover" and step == 5

    stopped.run_context.report = stop
    with pytest.raises(RunCancelled):
        METHODS["VTrans"].compress(stopped)
    again = METHODS["VTrans"].compress(state(tmp_path / "stopped"))
    assert torch.equal(parameters(again), parameters(whole))
