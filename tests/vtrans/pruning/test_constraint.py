"""The Lagrangian ascends, the ramp rises, and the threshold meets the budget."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_bert

from vtrans.anatomy import anatomy_of
from vtrans.errors import SuiteError
from vtrans.pruning.constraint import Lagrangian, bisect, calibrate, push_by_size, ramp, search_count
from vtrans.pruning.counts import Counts
from vtrans.pruning.gates import GateSet, VariationalGate
from vtrans.pruning.masks import Masks
from vtrans.pruning.size import Size, removed
from vtrans.pruning.surgery import materialise
from vtrans.settings import SITES, Budget, Constraint


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


@given(
    st.integers(0, 1000),
    st.floats(0.1, 0.9),
    st.sampled_from(["parameters", "macs"]),
    st.sampled_from(["encoder", "all"]),
)
def test_calibrated_decision_meets_the_budget_as_materialised(seed, sparsity, quantity, denominator):
    torch.manual_seed(seed)
    model = tiny_bert()
    gates, size = GateSet(anatomy_of(model), lambda s, n: VariationalGate(n, 1.0, jitter=2.0)), Size.of(model)
    budget = Budget(sparsity, quantity, denominator, length=16)
    try:
        decision, _ = calibrate(gates, size, budget, tolerance=0.03)  # a tiny model has few units to choose from
    except SuiteError:
        return
    small = Size.of(materialise(model, decision))
    n = small.dense
    total = {"parameters": size.parameters(size.dense, denominator), "macs": size.macs(size.dense, 16, denominator)}
    left = {"parameters": small.parameters(n, denominator), "macs": small.macs(n, 16, denominator)}
    assert abs(1 - float(left[quantity] / total[quantity]) - sparsity) <= 0.03


def test_heads_go_one_by_one_where_no_ffn_unit_is_left_to_take():
    torch.manual_seed(0)
    model, odds = tiny_bert(), {"heads": 3.0, "ffn": -3.0}
    gates = GateSet(anatomy_of(model), lambda s, n: VariationalGate(n, odds[s], jitter=0.0), tuple(odds))
    size = Size.of(model)
    decision, _ = calibrate(gates, size, Budget(0.8), tolerance=0.03)  # one threshold keeps all heads or the last
    assert 1 < sum(decision.kept()["heads"]) < gates["heads"].n
    assert float(removed(Budget(0.8), size, Counts.of(decision))) == pytest.approx(0.8, abs=0.03)


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


def test_units_that_go_together_do_not_put_a_size_out_of_reach():
    """All heads stand at one log-odds below the FFN units: with all of them gone, no unit is left to be given back."""
    model = tiny_bert(intermediate_size=64)
    gates, size = GateSet(anatomy_of(model), lambda s, n: VariationalGate(n), ("heads", "ffn")), Size.of(model)
    with torch.no_grad():
        gates["heads"].log_alpha.fill_(0.0)
        gates["ffn"].log_alpha.copy_(1 + torch.rand(gates["ffn"].n))
    decision, threshold = calibrate(gates, size, Budget(0.3))
    assert float(removed(Budget(0.3), size, Counts.of(decision))) == pytest.approx(0.3, abs=0.01)
    assert threshold < 0 and all(bool((z != 0).all()) for z in decision.heads)


def test_out_of_reach_is_said():
    model = tiny_bert()
    gates = GateSet(anatomy_of(model), lambda s, n: VariationalGate(n), sites=("heads",))
    with pytest.raises(SuiteError, match="out of reach"):
        calibrate(gates, Size.of(model), Budget(0.9))


@given(st.floats(-5, 5), st.floats(0.1, 3))
def test_bisect_finds_the_closest(root, slope):
    assert bisect(lambda x: slope * (x - root), 0.0, -20, 20) == pytest.approx(root, abs=1e-4)


@pytest.mark.parametrize("sparsity", [0.0, 1.0, -0.1, 60.0, float("nan")])
def test_sparsity_outside_0_1_is_refused(sparsity):
    with pytest.raises(SuiteError, match="outside"):
        Budget(sparsity)


def test_dense_counts_remove_nothing():
    size = Size.of(tiny_bert())
    assert float(removed(Budget(0.5), size, size.dense)) == 0
    assert isinstance(size.dense, Counts)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0, 1))
def test_a_count_is_found_as_by_trying_all(values, target):
    rising = sorted(values)
    found = search_count(rising.__getitem__, target, len(rising) - 1)
    assert abs(rising[found] - target) == min(abs(value - target) for value in rising)
