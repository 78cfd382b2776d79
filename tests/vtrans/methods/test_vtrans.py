"""Each method on a tiny model: reaches its size, trains what it should, reports what it did."""

from dataclasses import replace

import pytest
import torch
from jobs import METHODS, new_state
from tiny import tiny_bert, tiny_examples

from vtrans.anatomy import anatomy_of
from vtrans.methods.base import CompressionState, config_of
from vtrans.methods.family import VTransFamily
from vtrans.methods.stages import VariationalGates
from vtrans.methods.vtrans import FasterVTrans, FastVTrans, VTrans
from vtrans.pruning.size import Size
from vtrans.settings import QUICK, Budget, Constraint, GateRates, Schedule, Setting
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext


@pytest.mark.parametrize("name", METHODS)
def test_reaches_its_size_and_reports(name):
    work = new_state()
    small = METHODS[name].compress(work)
    size, dense = Size.of(small), Size.of(work.teacher.model)
    real = 1 - float(size.parameters(size.dense) / dense.parameters(dense.dense))
    assert real == pytest.approx(0.5, abs=0.01)
    report = work.report["pruning"]
    assert {"expected_sparsity", "threshold", "kept", "lambda1"} <= set(report)
    assert report["kept"]["heads"] == list(anatomy_of(small).heads)
    assert set(work.report["seconds"]) == {f"{i}-{stage.name}" for i, stage in enumerate(METHODS[name].stages())}


@pytest.mark.parametrize(
    ("method", "ends"),
    [
        (METHODS["VTrans"], 4),
        (METHODS["VTrans-met"], None),
        (replace(METHODS["VTrans"], constraint=Constraint(sharpen="met")), 1),  # 12 steps are too few to get there
    ],
)
def test_the_count_of_kept_units_ends_as_sharp_as_the_target_was_met(method, ends):
    work, met = new_state(), []
    work.run_context.report = lambda label, done, total, numbers: met.append(numbers.get("sharpness"))
    method.compress(work)
    told = work.report["pruning"].get("sharpness")
    assert (told is None) == (method is METHODS["VTrans"])
    if ends is None:  # seven steps behind the ramp of five, each of which has met the target or not
        assert round(7 * told, 3) in (1, 2, 3, 4, 5, 6, 7)
        ends = 1 + 3 * told
    gate = work.gates["ffn"]
    sharpness = (torch.logit(gate.expected().double()) / gate.log_odds().double()).detach()
    torch.testing.assert_close(sharpness, torch.full_like(sharpness, ends), atol=0.05, rtol=0)


def test_a_soft_slope_reaches_the_gates():
    assert VariationalGates(soft_slope=True).build("ffn", 3).soft_slope
    assert not VariationalGates().build("ffn", 3).soft_slope


@pytest.mark.parametrize("name", ["Fast-VTrans", "Faster-VTrans"])
def test_subset_rows_are_recorded(name):
    work = new_state()
    METHODS[name].compress(work)
    subset = work.report["subset"]
    assert subset["of"] == 48
    assert len(subset["rows"]) == len(work.train) == 24


def test_faster_leaves_the_weights_as_they_are():
    work = new_state()
    small = METHODS["Faster-VTrans"].compress(work)
    dense, kept = (
        work.teacher.model.bert.embeddings.word_embeddings.weight,
        small.bert.embeddings.word_embeddings.weight,
    )
    columns = (work.decision.hidden.detach() != 0).nonzero().flatten()
    assert torch.equal(dense[:, columns], kept)
    assert torch.equal(work.teacher.model.classifier.weight, small.classifier.weight)


def test_teacher_is_never_changed():
    work = new_state()
    before = {k: v.clone() for k, v in work.teacher.model.state_dict().items()}
    METHODS["VTrans"].compress(work)
    assert all(torch.equal(v, work.teacher.model.state_dict()[k]) for k, v in before.items())


def test_config_names_every_field():
    config = config_of(METHODS["Fast-VTrans"])
    assert config["class"] == "FastVTrans"
    assert config["budget"]["sparsity"] == config["fraction"] == 0.5
    assert config["gates"]["class"] == "VariationalGates"


@pytest.mark.parametrize("method", [VTrans, FastVTrans, FasterVTrans, VTransFamily])
def test_presets_with_tables_and_the_papers_keep_the_plain_constraint(method):
    for scale, exponent in (("small", 1.0), ("paper", 1.0), ("quick", 0.5), ("", 0.5)):
        built = method.build(Setting(QUICK, Budget(0.5), scale=scale))
        assert built.constraint.size_exponent == exponent


def test_a_field_that_came_later_is_in_the_key_where_it_changes_something():
    assert "size_exponent" not in config_of(Constraint())
    assert config_of(Constraint(size_exponent=0.5))["size_exponent"] == 0.5
    assert config_of(Constraint(sharpen="met"))["sharpen"] == "met" and "sharpen" not in config_of(Constraint())


@pytest.mark.parametrize("sparsity", [0.2, 0.5, 0.8, 0.9, 0.95])
def test_any_target_is_met_and_attention_survives(sparsity):
    schedule = Schedule(steps=25, batch=8, lr=1e-3, precision="fp32")
    teacher = tiny_bert(hidden_size=48, intermediate_size=160)
    work = CompressionState(Teacher(teacher), tiny_examples(), 0, RunContext())
    gates = VariationalGates(rates=GateRates(0.4, 0.01, 0.25))
    small = VTrans(Budget(sparsity), schedule, schedule, gates=gates).compress(work)
    size, dense = Size.of(small), Size.of(teacher)
    real = 1 - float(size.parameters(size.dense) / dense.parameters(dense.dense))
    assert real == pytest.approx(sparsity, abs=0.01)
    assert sum(anatomy_of(small).heads) > 0
