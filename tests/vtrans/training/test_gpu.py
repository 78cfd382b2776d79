"""The methods on a GPU: nothing of a model, its gates or its losses stays behind on the CPU."""

import pytest
import torch
from jobs import METHODS, SCHEDULE
from tiny import inputs, tiny_bert, tiny_examples

from baselines.cofi import CoFi, HardConcreteGates
from baselines.one_shot import Magnitude, Random
from vtrans.methods.base import CompressionState
from vtrans.settings import Budget, GateRates
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext

ALL = {
    **METHODS,
    "CoFi": CoFi(Budget(0.5), SCHEDULE, SCHEDULE, gates=HardConcreteGates(rates=GateRates(0.3))),
    "random": Random(Budget(0.4), SCHEDULE, "random"),
    "magnitude": Magnitude(Budget(0.4), SCHEDULE, "magnitude"),
}


@pytest.mark.gpu
@pytest.mark.parametrize("name", ALL)
def test_compresses_on_a_gpu(name):
    teacher = tiny_bert(hidden_size=48, intermediate_size=256).cuda()
    small = ALL[name].compress(CompressionState(Teacher(teacher), tiny_examples(), 0, RunContext()))
    assert all(p.is_cuda for p in small.parameters())
    with torch.no_grad():
        on_gpu = small(**{k: v.cuda() for k, v in inputs().items()}).logits.cpu()
        torch.testing.assert_close(on_gpu, small.cpu()(**inputs()).logits, atol=1e-4, rtol=1e-3)
