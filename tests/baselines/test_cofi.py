"""CoFi against the oracles of its official code."""

import pytest
import torch
from tiny import tiny_bert, tiny_examples
from transformers import BertConfig, BertForSequenceClassification

from baselines.cofi import CoFi, HardConcreteGates, official_sparsity
from baselines.parts.hard_concrete import BOUND, HardConcreteGate, open_probability
from vtrans.anatomy import anatomy_of
from vtrans.methods.base import CompressionState
from vtrans.pruning.gates import GateSet
from vtrans.pruning.size import Size
from vtrans.settings import Budget, GateRates, Schedule
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext


@pytest.mark.parametrize(("loga", "p"), [(0, 0.8318), (4.605, 0.99798), (-4.605, 0.0471), (10, 0.99999)])
def test_open_probability_oracles(loga, p):
    assert float(open_probability(torch.tensor(float(loga)))) == pytest.approx(p, abs=5e-5)


def test_mean_of_samples():
    torch.manual_seed(0)
    for loga, mean in ((0.0, 0.5), (4.605, 0.987)):
        gate = HardConcreteGate(2, loga)
        gate.loga.data.fill_(loga)
        z = gate.sample(40_000)
        assert float(z.mean()) == pytest.approx(mean, abs=0.005)
        assert float((z > 0).float().mean()) == pytest.approx(float(gate.expected()[0]), abs=0.01)
        assert float(z.min()) >= 0 and float(z.max()) <= 1


def test_fold_oracles():
    gate = HardConcreteGate(2, 0.0)
    gate.loga.data = torch.tensor([4.605, 0.0])
    torch.testing.assert_close(gate.fold(), torch.tensor([0.996, 0.5]), atol=1e-3, rtol=0)


def test_first_clamp_brings_10_to_log_100():
    gate = HardConcreteGate(3, 10.0)
    gate.clamp_()
    assert float(gate.loga.max()) == float(gate.loga.min()) == pytest.approx(BOUND)


def test_decision_keeps_as_many_as_are_expected_in_each_group():
    gate = HardConcreteGate(10, 0.0)
    gate.loga.data = torch.cat([torch.full((4,), -4.6), torch.full((6,), 4.6)])
    gate.loga.data[0] = -4.5
    keep = gate.keep(0.0, [4, 6])
    assert keep.tolist() == [False] * 4 + [True] * 6  # 4 * 0.047 and 6 * 0.998 round to 0 and 6
    gate.loga.data[:4] = 0.0
    assert gate.keep(0.0, [4, 6])[:4].sum() == 3  # round(4 * 0.83)


def test_official_expected_sparsity_with_all_gates_open():
    with torch.device("meta"):
        model = BertForSequenceClassification(BertConfig())
    anatomy = anatomy_of(model)
    gates = GateSet(anatomy, lambda site, n: HardConcreteGate(n, 100.0))
    assert float(official_sparsity(gates, Size.of(model)).detach()) == pytest.approx(0.00054, abs=1e-5)


def test_gates_start_as_in_the_official_code():
    maker = HardConcreteGates()
    assert float(maker.build("ffn", 5).loga.mean()) == pytest.approx(0, abs=0.05)
    assert float(maker.build("heads", 5).loga.mean()) == pytest.approx(10, abs=0.05)


@pytest.mark.parametrize("fidelity", ["corrected", "official"])
@pytest.mark.parametrize("sparsity", [0.5, 0.9])
def test_reaches_its_size(fidelity, sparsity):
    schedule = Schedule(steps=15, batch=8, lr=1e-3, precision="fp32")
    method = CoFi(
        Budget(sparsity), schedule, schedule, gates=HardConcreteGates(rates=GateRates(0.3)), fidelity=fidelity
    )
    teacher = tiny_bert(hidden_size=48, intermediate_size=128)
    small = Size.of(method.compress(CompressionState(Teacher(teacher), tiny_examples(), 0, RunContext())))
    dense = Size.of(teacher)
    assert 1 - float(small.parameters(small.dense) / dense.parameters(dense.dense)) == pytest.approx(sparsity, abs=0.01)
