"""The Lagrangian ascends, the ramp rises, and units are pushed by what they own."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_bert, tiny_examples

from baselines.cofi import HardConcreteGates
from vtrans.anatomy import anatomy_of
from vtrans.errors import SuiteError
from vtrans.methods.base import CompressionState
from vtrans.methods.stages import Prune, VariationalGates
from vtrans.pruning.constraint import Lagrangian, push_by_size, ramp
from vtrans.pruning.counts import Counts
from vtrans.pruning.gates import GateSet, VariationalGate
from vtrans.pruning.masks import Masks
from vtrans.pruning.size import Size, removed
from vtrans.pruning.surgery import materialise
from vtrans.settings import SITES, Budget, Constraint, Schedule
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext


def test_multipliers_ascend_and_push_towards_the_target():
    lagrangian = Lagrangian(Constraint(rate=0.1, quadratic=0.0))
    optimizer = lagrangian.optimizer()
    sparsity = torch.tensor(0.2, requires_grad=True)
    for _ in range(3):
        optimizer.zero_grad()
        lagrangian(sparsity, 0.6).backward()
        optimizer.step()
    assert lagrangian.linear.item() == pytest.approx(-0.3, abs=1e-3)
    assert lagrangian.quadratic.item() == pytest.approx(0.3, abs=1e-3)
    sparsity.grad = None
    lagrangian(sparsity, 0.6).backward()
    assert sparsity.grad < 0  # descent raises the sparsity


def test_multipliers_stay_within_their_bound():
    lagrangian = Lagrangian(Constraint(bound=1.0))
    lagrangian.linear.data.fill_(-7)
    lagrangian.clamp_()
    assert lagrangian.linear.item() == -1
    assert lagrangian.quadratic.item() == 1


def test_a_count_sharpens_with_the_steps_or_with_those_that_met_the_target():
    by_steps, by_target = Lagrangian(Constraint()), Lagrangian(Constraint(sharpen="met", warmup=0.5))
    assert [by_steps.progress(step, 10) for step in (0, 5, 10)] == [0, 0.5, 1]
    for gap, gone in [(0.3, 0.0), (0.021, 0.0), (0.019, 0.2), (-0.1, 0.4), (0.5, 0.4)]:
        for each in (by_steps, by_target):
            each.sharpen_(gap, 10)
        assert by_target.progress(7, 10) == pytest.approx(gone)
        assert by_steps.progress(7, 10) == 0.7
    for _ in range(20):
        by_target.sharpen_(0.0, 10)
    assert by_target.progress(9, 10) == 1  # met in more steps than there are behind the ramp
    assert by_target.sharpness in set(by_target.optimizer().param_groups[0]["params"])  # what checkpoints hold


def test_sharpening_that_cannot_be_is_refused():
    with pytest.raises(SuiteError, match="sharpen of Constraint is 'never'"):
        Constraint(sharpen="never")
    with pytest.raises(SuiteError, match="origin of Constraint is 'half'"):
        Constraint(origin="half")
    gates, schedule, met = VariationalGates(sharpness=1.0), Schedule(steps=1), Constraint(sharpen="met")
    for soft in (gates, HardConcreteGates()):
        with pytest.raises(SuiteError, match="gates whose count sharpens"):
            Prune(Budget(0.5), soft, schedule, constraint=met)


def test_a_target_that_rises_to_the_end_leaves_no_step_to_sharpen_in():
    lagrangian = Lagrangian(Constraint(sharpen="met", warmup=1.0))
    lagrangian.sharpen_(0.0, 10)
    assert lagrangian.progress(10, 10) == 1


@given(
    st.floats(0, 1),
    st.sampled_from(["parameters", "macs"]),
    st.sampled_from([SITES, ("heads", "ffn"), ("hidden", "heads", "ffn", "ffn_layer")]),
)
def test_a_unit_is_pushed_by_a_power_of_what_it_owns(exponent, quantity, sites):
    model, budget = tiny_bert(), Budget(0.5, quantity, length=16)
    size, gates = Size.of(model), GateSet(anatomy_of(model), lambda s, n: VariationalGate(n, 7.0, jitter=0.0), sites)

    def slopes():
        gates.zero_grad()
        found = removed(budget, size, gates.expected())
        found.backward()
        return found.item(), {site: gates[site].log_alpha.grad.abs().mean().item() for site in gates}

    before, plain = slopes()
    gates.push = push_by_size(gates, budget, size, exponent)
    after, pushed = slopes()
    least = min(plain.values())
    assert after == pytest.approx(before, abs=1e-6)
    for site in sites:
        assert pushed[site] / least == pytest.approx((plain[site] / least) ** exponent, rel=0.01)


def test_ramp():
    assert ramp(0, 100, 0.6, 0.5) == pytest.approx(0.6 / 50)
    assert ramp(49, 100, 0.6, 0.5) == ramp(99, 100, 0.6, 0.5) == 0.6
    assert ramp(0, 100, 0.6, 0.0) == 0.6


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_ramp_goes_from_its_origin_to_the_sparsity_and_not_beyond(origin, sparsity, warmup):
    targets = [ramp(step, 50, sparsity, warmup, origin) for step in range(50)]
    assert targets[-1] == sparsity  # to the bit: steps at the full target are told by it
    least, most = sorted((origin, sparsity))
    assert all(least - 1e-12 <= target <= most + 1e-12 for target in targets)
    steps = [after - before for before, after in pairwise(targets)]
    assert all(step * (sparsity - origin) >= -1e-12 for step in steps)


@pytest.mark.parametrize("origin, opened", [(0.0, True), (0.135, False)])
def test_a_target_below_what_gates_expect_at_first_opens_them(origin, opened):
    gates = GateSet(anatomy_of(tiny_bert()), lambda site, n: VariationalGate(n, jitter=0.0, sharpness=4.0))
    lagrangian, size = Lagrangian(Constraint()), Size.of(tiny_bert())
    both = torch.optim.Adam(gates.parameters(), lr=0.05), lagrangian.optimizer()
    for step in range(12):
        gates.anneal(step / 300)
        found = removed(Budget(0.6), size, gates.expected())
        lagrangian(found, ramp(step, 300, 0.6, 0.4, origin)).backward()
        for optimizer in both:
            optimizer.step()
            optimizer.zero_grad()
    assert (gates["heads"].log_odds().mean() > 3.2) == (lagrangian.linear > 0) == opened


@pytest.mark.parametrize("origin", ["zero", "gates"])
def test_the_origin_is_what_gates_expect_at_first(origin):
    stage = Prune(Budget(0.6), VariationalGates(), Schedule(steps=2), constraint=Constraint(origin=origin))
    objective, _ = stage.objective(CompressionState(Teacher(tiny_bert()), tiny_examples(), 0, RunContext()))
    expected = objective.sparsity().item()
    assert 0.1 < expected < 0.2  # of gates that are as open as they begin
    assert objective.origin == pytest.approx(expected if origin == "gates" else 0.0)


def test_gone_sub_layers_do_not_make_those_that_are_left_own_less():
    model = tiny_bert()
    decision = Masks.dense(anatomy_of(model))
    gone = [1.0, *[0.0] * (len(decision.ffn) - 1)]
    masks = replace(decision, ffn_layer=tuple(torch.tensor(gone)), ffn_alive=tuple(map(bool, gone)))
    small = materialise(model, masks)
    pushes = []
    for each in (model, small):
        gates = GateSet(anatomy_of(each), lambda s, n: VariationalGate(n), ("heads", "ffn", "ffn_layer"))
        pushes.append(push_by_size(gates, Budget(0.5), Size.of(each), 0.5))
    assert pushes[0]["ffn_layer"] == pytest.approx(pushes[1]["ffn_layer"], rel=0.1)


def test_sites_of_which_nothing_is_left_are_not_pushed():
    decision = Masks.dense(anatomy_of(model := tiny_bert()))
    gone = len(decision.ffn) * (False,)
    small = materialise(model, replace(decision, ffn_layer=len(gone) * (torch.zeros(()),), ffn_alive=gone))
    gates = GateSet(anatomy_of(small), lambda s, n: VariationalGate(n), SITES)
    assert set(push_by_size(gates, Budget(0.5), Size.of(small), 0.5)) == {"hidden", "heads", "attention_layer"}


@pytest.mark.parametrize("sparsity", [0.0, 1.0, -0.1, 60.0, float("nan")])
def test_sparsity_outside_0_1_is_refused(sparsity):
    with pytest.raises(SuiteError, match="outside"):
        Budget(sparsity)


def test_dense_counts_remove_nothing():
    size = Size.of(tiny_bert())
    assert float(removed(Budget(0.5), size, size.dense)) == 0
    assert isinstance(size.dense, Counts)
