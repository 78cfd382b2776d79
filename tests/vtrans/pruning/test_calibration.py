"""The threshold meets the budget as the model is materialised."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_bert

from vtrans.anatomy import anatomy_of
from vtrans.errors import SuiteError
from vtrans.pruning.calibration import bisect, calibrate, search_count
from vtrans.pruning.counts import Counts
from vtrans.pruning.gates import GateSet, VariationalGate
from vtrans.pruning.size import Size, removed
from vtrans.pruning.surgery import materialise
from vtrans.settings import SITES, Budget


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


def test_layers_whose_ffn_units_have_all_gone_get_some_back_where_heads_are_too_coarse():
    """One head less is too small a model, and no FFN unit is left, though the gates of their layers are open."""
    model = tiny_bert()
    gates = GateSet(anatomy_of(model), lambda s, n: VariationalGate(n, 6.0), ("heads", "ffn", "ffn_layer"))
    size = Size.of(model)
    with torch.no_grad():
        gates["heads"].log_alpha.copy_(torch.linspace(1, 2, gates["heads"].n))
        gates["ffn"].log_alpha.copy_(-2 + torch.rand(gates["ffn"].n))
    without = [float(removed(Budget(0.5), size, Counts.of(gates.decide(odds)))) for odds in (1.5, 1.6)]
    budget = Budget(sum(without) / 2)  # between so many heads and one less
    decision, _ = calibrate(gates, size, budget)
    assert float(removed(budget, size, Counts.of(decision))) == pytest.approx(budget.sparsity, abs=0.01)
    assert sum(decision.kept()["ffn"]) > 0 and sum(decision.kept()["heads"]) > 0


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


def settled(odds):
    """Gates of a tiny model that stand at those log-odds, by site, each unit a little apart from the next."""
    torch.manual_seed(0)
    model = tiny_bert()
    gates = GateSet(anatomy_of(model), lambda s, n: VariationalGate(n, odds[s], jitter=0.2))
    return gates, Size.of(model)


def test_a_threshold_for_units_leaves_hidden_units_and_layers_to_their_sign():
    gates, size = settled({"hidden": 1.0, "heads": 1.0, "ffn": 2.0, "attention_layer": 1.0, "ffn_layer": 1.0})
    both = {w: calibrate(gates, size, Budget(0.8), tolerance=0.03, threshold=w)[0] for w in ("all", "units")}
    kept = {which: decision.kept() for which, decision in both.items()}
    assert kept["units"]["hidden"] == gates["hidden"].n > kept["all"]["hidden"]
    for decision in both.values():
        assert float(removed(Budget(0.8), size, Counts.of(decision))) == pytest.approx(0.8, abs=0.03)


def test_a_threshold_below_0_gives_hidden_units_back_as_well():
    gates, size = settled(dict.fromkeys(SITES, -1.0))
    decision, threshold = calibrate(gates, size, Budget(0.5), tolerance=0.03, threshold="units")
    assert threshold < 0 and float(removed(Budget(0.5), size, Counts.of(decision))) == pytest.approx(0.5, abs=0.03)


def test_what_units_cannot_meet_falls_to_all_gates():
    """Heads and FFN units are not gated: hidden units must go though all are likely."""
    torch.manual_seed(0)
    model = tiny_bert()
    gates = GateSet(anatomy_of(model), lambda s, n: VariationalGate(n, 2.0, jitter=0.5), ("hidden",))
    found = [calibrate(gates, Size.of(model), Budget(0.5), 0.03, which) for which in ("units", "all")]
    assert found[0][1] == found[1][1] > 0


def test_out_of_reach_is_said():
    model = tiny_bert()
    gates = GateSet(anatomy_of(model), lambda s, n: VariationalGate(n), sites=("heads",))
    with pytest.raises(SuiteError, match="out of reach"):
        calibrate(gates, Size.of(model), Budget(0.9))


@given(st.floats(-5, 5), st.floats(0.1, 3))
def test_bisect_finds_the_closest(root, slope):
    assert bisect(lambda x: slope * (x - root), 0.0, -20, 20) == pytest.approx(root, abs=1e-4)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0, 1))
def test_a_count_is_found_as_by_trying_all(values, target):
    rising = sorted(values)
    found = search_count(rising.__getitem__, target, len(rising) - 1)
    assert abs(rising[found] - target) == min(abs(value - target) for value in rising)
