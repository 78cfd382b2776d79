"""The variational gate against VIBNet's formulas; decisions that keep a model alive."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_bert

from vtrans.anatomy import anatomy_of
from vtrans.errors import SuiteError
from vtrans.pruning.gates import GateSet, VariationalGate
from vtrans.pruning.size import Size


def gate(log_alpha: float, n: int = 5) -> VariationalGate:
    return VariationalGate(n, log_alpha, jitter=0.0)


@given(st.floats(-4, 8), st.floats(0.2, 3))
def test_coordinates_are_those_of_the_gaussian(log_alpha, scale):
    g = gate(log_alpha)
    g.scale.data.fill_(scale)
    ratio = (g.mean**2 / g.deviation**2).log()
    torch.testing.assert_close(ratio, torch.full((5,), log_alpha), atol=1e-3, rtol=1e-3)


@given(st.floats(-4, 9))
def test_penalty_is_the_closed_form_kl(log_alpha):
    g = gate(log_alpha)
    mu, sigma = g.mean.detach(), g.deviation.detach()
    torch.testing.assert_close(
        g.penalty().detach(), (0.5 * torch.log(1 + mu**2 / sigma**2)).sum(), atol=1e-3, rtol=1e-3
    )


def test_kl_oracles():
    assert float(gate(9.0, 1).penalty()) == pytest.approx(4.50, abs=0.005)  # VIBNet's start
    assert float(gate(0.0, 1).penalty()) == pytest.approx(0.5 * math.log(2))  # the threshold


def test_rule_in_both_sign_conventions():
    g = VariationalGate(200, 0.0, jitter=2.0)
    vibnet = (g.deviation**2).log() - (g.mean**2 + 1e-8).log() < 0  # keeps log(sigma^2/mu^2) < 0
    assert torch.equal(g.keep(0.0, [200]), vibnet)


def test_samples_have_the_stated_moments():
    torch.manual_seed(0)
    g = gate(0.5, 3)
    z = g.sample(40_000)
    torch.testing.assert_close(z.mean(0), g.mean, atol=0.02, rtol=0)
    torch.testing.assert_close(z.std(0), g.deviation, atol=0.02, rtol=0)


def test_fading_units_lose_mean_and_noise():
    g = gate(-5.0)
    assert g.mean.max() < 0.01 * g.scale.max()
    assert g.deviation.max() < 0.1 * g.scale.max()


def test_gate_starts_at_one_and_is_bounded_below():
    g = gate(3.0)
    torch.testing.assert_close(g.fold(), torch.ones(5))
    g.log_alpha.data.fill_(-99)
    g.clamp_()
    assert g.log_alpha.min() == -5


def set_log_alpha(gates: GateSet, value: float) -> None:
    for site in gates:
        gates[site].log_alpha.data.fill_(value)


def test_last_attention_and_hidden_unit_stay():
    gates = GateSet(anatomy_of(tiny_bert()), lambda site, n: VariationalGate(n))
    set_log_alpha(gates, -5.0)
    gates["heads"].log_alpha.data[6] = -4.0
    kept = gates.decide().kept()
    assert kept["heads"] == [0, 1, 0]
    assert kept["hidden"] == 1
    assert kept["ffn"] == [0, 0, 0]


def test_expected_counts_agree_with_the_mean_of_bernoulli_draws():
    torch.manual_seed(1)
    model = tiny_bert()
    gates, size = GateSet(anatomy_of(model), lambda site, n: VariationalGate(n, 0.5, jitter=1.0)), Size.of(model)
    p = {site: gates[site].expected().detach() for site in gates}
    sums = []
    for _ in range(4000):
        draw = {site: torch.bernoulli(q) for site, q in p.items()}
        heads = draw["heads"].view(3, 4).sum(1) * draw["attention_layer"]
        ffn = draw["ffn"].view(3, 32).sum(1) * draw["ffn_layer"]
        n = type(size.dense)(draw["hidden"].sum(), heads, ffn, draw["attention_layer"], draw["ffn_layer"])
        sums.append(float(size.parameters(n)))
    assert float(size.parameters(gates.expected())) == pytest.approx(sum(sums) / len(sums), rel=0.02)


@pytest.mark.parametrize("soft", [False, True])
def test_a_soft_slope_changes_what_pushes_and_not_what_is_counted(soft):
    gate = VariationalGate(5, 3.0, jitter=2.0, sharpness=4.0, soft_slope=soft)
    gate.anneal(1.0)
    p = torch.sigmoid(gate.log_alpha.detach() * 4)
    torch.testing.assert_close(gate.expected().detach(), p)
    gate.expected().sum().backward()
    q = torch.sigmoid(gate.log_alpha.detach())
    torch.testing.assert_close(gate.log_alpha.grad, q * (1 - q) if soft else 4 * p * (1 - p))


def test_noise_shapes_and_open_sites():
    gates = GateSet(anatomy_of(tiny_bert()), lambda site, n: VariationalGate(n), sites=("heads", "hidden"))
    values = gates.sample(7, 1)
    assert values.heads[0].shape == (7, 1, 4)
    assert values.hidden.shape == (24,)
    assert values.ffn[0].shape == (32,)
    assert bool((values.ffn[0] == 1).all())


def test_decision_round_trips_to_keep_masks():
    torch.manual_seed(2)
    gates = GateSet(anatomy_of(tiny_bert()), lambda site, n: VariationalGate(n, 0.0, jitter=2.0))
    decision = gates.decide()
    again = gates.fixed(gates.kept_by(decision))
    assert again.kept() == decision.kept()


def test_unknown_site_is_named():
    with pytest.raises(SuiteError, match="embeddings"):
        GateSet(anatomy_of(tiny_bert()), lambda site, n: VariationalGate(n), sites=("embeddings",))
