"""Faster-VTrans for language models: rounded widths, frozen weights, adapters."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_gpt2, tiny_llama

from vtrans.anatomy import anatomy_of
from vtrans.data.windows import Windows
from vtrans.methods.adapters import RecoverLora, projections
from vtrans.methods.base import CompressionState
from vtrans.methods.decoder import FasterVTransLLM
from vtrans.pruning.gates import GateSet, VariationalGate
from vtrans.pruning.rounding import _nearest, round_widths
from vtrans.settings import Budget, Schedule
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext

SHORT = Schedule(steps=5, batch=4, lr=1e-3, precision="fp32")


def windows() -> Windows:
    ids = torch.randint(5, 60, (400,), generator=torch.Generator().manual_seed(0)).tolist()
    return Windows.of(ids, 16, pad=0)


def new_state(model, folder=None) -> CompressionState:
    return CompressionState(Teacher(model), windows(), 0, RunContext(folder=folder))


def test_rounding_down_drops_those_of_the_smallest_odds():
    odds = torch.tensor([1.04, 1.00, 1.03, -2.0, 1.01, 1.02])
    rounded = _nearest(odds > 0, odds, 4)
    assert rounded.tolist() == [True, False, True, False, True, True]
    assert _nearest(odds > 1.005, odds, 3).tolist() == [True, False, True, False, False, True]


@given(st.integers(0, 50), st.sampled_from([2, 4, 8]))
def test_widths_become_multiples_by_the_order_of_the_gates(seed, multiple):
    torch.manual_seed(seed)
    gates = GateSet(anatomy_of(tiny_llama()), lambda site, n: VariationalGate(n, 0.3, jitter=2.0))
    decision = gates.decide()
    before, after = gates.kept_by(decision), gates.kept_by(round_widths(gates, decision, multiple))
    for site in ("hidden", "ffn"):
        parts = zip(*(k[site].split(gates.groups[site]) for k in (before, after)), strict=True)
        for old, new in parts:
            old_count, new_count = int(old.sum()), int(new.sum())
            if old_count:
                assert new_count % multiple == 0 or new_count == len(new)
                assert abs(new_count - old_count) <= multiple / 2 or new_count == multiple
                assert (old & new).sum() == min(old_count, new_count)  # one set holds the other
            else:
                assert new_count == 0
    assert torch.equal(before["heads"], after["heads"])


@pytest.mark.parametrize("make", [tiny_gpt2, tiny_llama])
def test_only_gates_train_and_the_size_is_met(make):
    model = make()
    method = FasterVTransLLM(Budget(0.4), SHORT, SHORT, fraction=1.0)
    work = new_state(model)
    small = method.compress(work)
    counted = sum(p.numel() for p in small.parameters())
    assert counted < sum(p.numel() for p in model.parameters())
    # Weights are those of the dense model, scaled and cut: the final norm alone shows it plainly.
    hidden = work.decision.hidden.detach()
    norm = anatomy_of(model).stem_norms[-1]
    dense, cut = (m.get_submodule(norm).weight for m in (model, small))
    torch.testing.assert_close(cut, (dense * hidden)[hidden != 0])


def test_rounding_is_reported_and_kept():
    work = new_state(tiny_llama())
    small = FasterVTransLLM(Budget(0.4), SHORT, SHORT, fraction=1.0, multiple=8).compress(work)
    anatomy = anatomy_of(small)
    assert anatomy.hidden % 8 == 0 and all(n % 8 == 0 for n in anatomy.ffn)
    assert work.report["rounded_to"] == 8
    assert work.report["pruning"]["kept"]["hidden"] == anatomy.hidden


@pytest.mark.parametrize("make", [tiny_gpt2, tiny_llama])
def test_adapters_recover_and_leave_a_plain_model(make):
    schedule = Schedule(steps=30, batch=8, lr=5e-3, precision="fp32")
    plain = FasterVTransLLM(Budget(0.4), SHORT, SHORT, fraction=1.0)
    tuned = FasterVTransLLM(
        Budget(0.4), SHORT, SHORT, fraction=1.0, lora=RecoverLora(schedule, rank=4, alpha=8, dropout=0.0)
    )
    models = [method.compress(new_state(make())) for method in (plain, tuned)]
    assert type(models[1]) is type(models[0])
    assert [p.shape for p in models[0].parameters()] == [p.shape for p in models[1].parameters()]
    batch = windows().batch(range(20))
    with torch.no_grad():
        losses = [float(model(**batch).loss) for model in models]
    assert losses[1] < losses[0]


def test_projections_leave_out_what_is_gone():
    names = projections(tiny_llama())
    assert len(names) == 3 * 7 and not any("lm_head" in name for name in names)
    assert len(projections(tiny_gpt2())) == 3 * 4  # query, key and value are one
