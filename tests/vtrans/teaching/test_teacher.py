"""A teacher is in memory only while it is needed."""

import pytest
import torch
from tiny import tiny_bert

from vtrans.teaching.teacher import Teacher


def test_a_teacher_that_can_be_loaded_is_let_go():
    loads = []

    def load():
        loads.append(1)
        return tiny_bert()

    teacher = Teacher(load=load)
    first = teacher.model
    assert teacher.model is first and teacher.shape == (24, 3) and len(loads) == 1
    teacher.release()
    assert teacher.model is not first and len(loads) == 2
    assert teacher.copy() is not teacher.model


def test_a_teacher_that_is_given_stays_and_is_copied():
    model = tiny_bert()
    teacher = Teacher(model)
    teacher.release()
    assert teacher.model is model and teacher.copy() is not model
    with pytest.raises(ValueError, match="model"):
        Teacher()


def test_the_digest_is_of_the_weights():
    model, other = tiny_bert(), tiny_bert()
    assert Teacher(model).digest == Teacher(other).digest
    with torch.no_grad():
        other.classifier.bias[0] += 1e-3
    assert Teacher(model).digest != Teacher(other).digest
