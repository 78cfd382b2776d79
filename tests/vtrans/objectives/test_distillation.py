"""Distillation terms and layer matching."""

from itertools import product

import pytest
import torch
from tiny import inputs, tiny_bert

from vtrans.objectives.distillation import (
    Distiller,
    alive_layers,
    masked_errors,
    masked_mse,
    match_layers,
    prediction_loss,
)
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
    from vtrans.anatomy import anatomy_of
    from vtrans.pruning.masks import Masks

    dense = Masks.dense(anatomy_of(tiny_bert()))
    zero, one = torch.zeros(()), torch.ones(())
    values = Masks.of(dense.hidden, dense.heads, dense.ffn, [zero, zero, one], [zero, one, one])
    assert alive_layers(values, 3) == [False, True, True]


def test_the_teacher_is_frozen_and_no_part_of_the_state():
    teacher, student = tiny_bert(), tiny_bert(seed=1)
    distiller = Distiller(RunningTeacher(teacher, (1, 2, 3)), (24, 3), student, Distillation())
    assert not any(p.requires_grad for p in teacher.parameters())
    assert set(distiller.state_dict()) == {"transform.weight", "transform.bias"}
