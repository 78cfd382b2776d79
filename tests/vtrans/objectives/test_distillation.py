"""Distillation terms and layer matching."""

from itertools import product

import pytest
import torch
from tiny import FAMILIES, inputs, random_decision, tiny_bert

from vtrans.anatomy import anatomy_of
from vtrans.objectives.distillation import (
    Distiller,
    alive_layers,
    masked_errors,
    masked_mse,
    match_layers,
    prediction_loss,
)
from vtrans.pruning.masking import apply_masks
from vtrans.pruning.masks import Masks
from vtrans.pruning.surgery import materialise
from vtrans.settings import Distillation
from vtrans.teaching.outputs import RunningTeacher, default_layers


@pytest.mark.parametrize(("depth", "layers"), [(12, (3, 6, 9, 12)), (6, (2, 4, 6)), (4, (1, 2, 3, 4)), (5, (5,))])
def test_default_layers(depth, layers):
    assert default_layers(depth) == layers


@pytest.mark.parametrize("match", ["same", "argmin", "ordered", "random"])
def test_a_student_equal_to_its_teacher_has_no_loss(match):
    teacher, student = tiny_bert().eval(), tiny_bert().eval()
    distiller = Distiller(RunningTeacher(teacher, (1, 2, 3)), (24, 3), student, Distillation(match=match))
    terms = distiller.losses(student, inputs())
    assert set(terms) == {"prediction", "layer"}
    assert all(abs(float(value.detach())) < 1e-5 for value in terms.values())


def test_terms_of_weight_0_are_left_out_and_task_comes_from_labels():
    student = tiny_bert(seed=1)
    distiller = Distiller(None, (24, 3), student, Distillation(prediction=0.0, layer=0.0, task=2.0))
    batch = {**inputs(), "labels": torch.tensor([0, 1, 1])}
    terms = distiller.losses(student, batch)
    assert list(terms) == ["task"]
    teacher = RunningTeacher(tiny_bert(seed=2).eval(), (1, 2, 3))
    layers_alone = Distiller(teacher, (24, 3), student, Distillation(prediction=0.0, layer=1.0))
    assert list(layers_alone.losses(student, batch)) == ["layer"]
    torch.testing.assert_close(terms["task"], 2 * student(**batch).loss)


def test_prediction_loss_by_hand():
    student, teacher = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    p, q = (torch.softmax(x / 2, -1) for x in (teacher, student))
    torch.testing.assert_close(prediction_loss(student, teacher, 2.0), 4 * (p * (p / q).log()).sum())
    torch.testing.assert_close(prediction_loss(torch.tensor([[3.0]]), torch.tensor([[1.0]]), 2.0), torch.tensor(4.0))


def test_padding_is_left_out_of_the_layer_loss():
    student, teacher, mask = torch.zeros(1, 3, 2), torch.ones(1, 3, 2), torch.tensor([[1, 1, 0]])
    teacher[0, 2] = 99
    assert masked_mse(student, teacher, mask) == 1


def test_errors_of_all_pairs_are_those_of_each():
    torch.manual_seed(0)
    students, teachers = torch.randn(3, 2, 5, 4), torch.randn(2, 2, 5, 4)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    errors = masked_errors(students, teachers, mask)
    for row, column in product(range(2), range(3)):
        torch.testing.assert_close(errors[row, column], masked_mse(students[column], teachers[row], mask))


def test_matching_rules():
    errors = torch.tensor([[0.1, 0.9, 0.9], [0.2, 0.9, 0.9], [0.9, 0.8, 0.1]])
    assert match_layers(errors, "argmin", [True] * 3) == [0, 0, 2]
    assert match_layers(errors, "ordered", [True] * 3) == [0, 0, 2]
    # The layer below the one matched before is taken even where a higher one is closer.
    assert match_layers(torch.tensor([[0.0, 9.0, 9.0], [9.0, 0.5, 0.0], [9.0, 0.1, 0.5]]), "ordered", [True] * 3) == [
        0,
        0,
        1,
    ]


def test_ordered_matching_survives_a_model_without_layers():
    assert match_layers(torch.rand(2, 3), "ordered", [False] * 3) == [2, 2]


def test_alive_means_either_sublayer():
    dense = Masks.dense(anatomy_of(tiny_bert()))
    zero, one = torch.zeros(()), torch.ones(())
    values = Masks.of(dense.hidden, dense.heads, dense.ffn, [zero, zero, one], [zero, one, one])
    assert alive_layers(values) == [False, True, True]


def errors_by_layer(model, masks=None, decide=None):
    """Of a model that equals its teacher but for what is pruned: the loss of each rule, and the layers chosen."""
    found = {}
    for match in ("same", "argmin", "ordered"):
        torch.manual_seed(0)
        teacher = RunningTeacher(tiny_bert().eval(), (1, 2, 3))
        distiller = Distiller(teacher, (24, 3), model, Distillation(prediction=0.0, layer=1.0, match=match))
        found[match] = distiller.losses(model, inputs(), masks, decide)["layer"].item()
    return found


def test_ordered_leaves_out_layers_that_gates_have_closed_or_that_are_gone():
    model = tiny_bert().eval()
    dense, zero, one = Masks.dense(anatomy_of(model)), torch.zeros(()), torch.ones(())
    last_gone = Masks.of(dense.hidden, dense.heads, dense.ffn, [one, one, zero], [one, one, zero])
    drawn = errors_by_layer(model, dense, lambda: last_gone)  # noise of a Gaussian gate is never 0
    assert drawn["same"] == drawn["argmin"] == pytest.approx(0, abs=1e-5) and drawn["ordered"] > 1e-3
    cut = materialise(model, last_gone).eval()
    assert Distiller(None, (24, 3), cut, Distillation()).alive == [True, True, False]
    after = errors_by_layer(cut)
    assert after["ordered"] >= after["argmin"] > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("match", ["same", "argmin"])
def test_layers_err_alike_under_masks_and_once_cut(family, match):
    model = FAMILIES[family]().double().eval()
    decision = random_decision(model, 1, 1.0)
    depth, width = len(decision.heads), len(decision.hidden)
    states = dict(enumerate(torch.randn(depth + 1, *inputs()["input_ids"].shape, width, dtype=torch.double)))
    start, kept = torch.randn(width, width), decision.hidden != 0
    assert 0 < kept.sum() < width
    small, settings = materialise(model, decision), Distillation(match=match, layers=tuple(range(1, depth + 1)))
    whole, cut = (
        Distiller(None, (width, depth), student, settings, transform).double()
        for student, transform in ((model, start), (small, start[:, kept]))
    )
    with torch.no_grad():
        with apply_masks(model, decision):
            ours = model(**inputs(), output_hidden_states=True).hidden_states[1:]
        masked = whole.layer_loss(whole.surviving(ours, decision), states, inputs()["attention_mask"])
        ours = list(small(**inputs(), output_hidden_states=True).hidden_states[1:])
        torch.testing.assert_close(masked, cut.layer_loss(ours, states, inputs()["attention_mask"]))


def test_the_teacher_is_frozen_and_no_part_of_the_state():
    teacher, student = tiny_bert(), tiny_bert(seed=1)
    distiller = Distiller(RunningTeacher(teacher, (1, 2, 3)), (24, 3), student, Distillation())
    assert not any(p.requires_grad for p in teacher.parameters())
    assert set(distiller.state_dict()) == {"transform.weight", "transform.bias"}
