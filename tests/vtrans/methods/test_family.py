"""A family of sizes: each goes on exactly from where the one below stopped, and meets its own size."""

from dataclasses import replace

import pytest
import torch
from jobs import SCHEDULE
from tiny import FAMILIES, inputs, tiny_bert, tiny_examples

from baselines.cofi import CoFiFamily, HardConcreteGates
from vtrans.anatomy import anatomy_of
from vtrans.errors import SuiteError
from vtrans.methods.base import CompressionState
from vtrans.methods.family import HANDOVER, PruneOn, VTransFamily, relative
from vtrans.methods.stages import VariationalGates
from vtrans.objectives.base import PruningObjective
from vtrans.pruning.counts import Counts
from vtrans.pruning.gates import GateSet
from vtrans.pruning.masking import apply_masks
from vtrans.pruning.size import Size, removed
from vtrans.saving.handover import Handover
from vtrans.settings import Budget, Constraint, GateRates
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext

MEMBERS = {
    "VTrans": VTransFamily(Budget(0.4), SCHEDULE, SCHEDULE),
    "CoFi": CoFiFamily(Budget(0.4), SCHEDULE, SCHEDULE, gates=HardConcreteGates(GateRates(0.3))),
}
MAKERS = {"VTrans": VariationalGates(), "CoFi": HardConcreteGates()}


def run(member, folder, handover=None):
    state = CompressionState(Teacher(tiny_bert(intermediate_size=96)), tiny_examples(), 3, RunContext(folder=folder))
    state.handover = handover
    return member.compress(state), state


@pytest.mark.parametrize("name", MEMBERS)
def test_each_size_is_met_and_nested_in_the_one_below(name, tmp_path):
    dense, before, kept = Size.of(tiny_bert(intermediate_size=96)), None, None
    for share in (0.4, 0.6, 0.8):
        member = replace(MEMBERS[name], budget=Budget(share))
        small, _ = run(member, tmp_path / str(share), before)
        size = Size.of(small)
        left = float(size.parameters(size.dense)) / float(dense.parameters(dense.dense))
        assert left == pytest.approx(1 - share, abs=0.02)
        before = tmp_path / str(share) / HANDOVER
        now = anatomy_of(small)
        if kept:
            assert now.hidden <= kept.hidden and all(a <= b for a, b in zip(now.ffn, kept.ffn, strict=True))
        kept = now


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("family", ["bert", "llama", "gpt2"])
def test_what_is_handed_over_computes_what_the_gated_model_did(maker, family, tmp_path):
    """The cut model under its surviving gates equals the whole one under all gates and the same draw."""
    torch.manual_seed(0)
    model = FAMILIES[family]()
    gates = GateSet(anatomy_of(model), maker.build)
    with torch.no_grad():
        for parameter in gates.parameters():
            parameter.add_(torch.randn_like(parameter).abs() * 0.3)
    decision = gates.decide(float(gates["ffn"].log_odds().median()))
    found = Handover.of(model, gates, decision, torch.eye(24), 1.0)
    found.write(tmp_path)
    again = Handover.read(tmp_path)
    new = GateSet(anatomy_of(again.model), maker.build)
    again.restore(new)
    whole, part = gates.fixed(gates.kept_by(decision)), new.decide(-100.0)
    batch = inputs()
    if family != "bert":
        batch.pop("token_type_ids", None)
    with torch.no_grad():
        with apply_masks(model, whole):
            ours = model(**batch).logits
        with apply_masks(again.model, part):
            theirs = again.model(**batch).logits
    torch.testing.assert_close(theirs, ours, atol=2e-5, rtol=2e-4)


def test_what_is_gone_is_counted_as_gone(tmp_path):
    model = tiny_bert()
    gates = GateSet(anatomy_of(model), VariationalGates().build)
    with torch.no_grad():
        gates["ffn_layer"].log_alpha[1] = -4.0
        gates["heads"].log_alpha[:4] = -4.0
    decision = gates.decide()
    found = Handover.of(model, gates, decision, torch.eye(24), 1.0)
    new = GateSet(anatomy_of(found.model), VariationalGates().build)
    found.restore(new)
    new.anneal(1.0)
    size = Size.of(found.model)
    assert anatomy_of(found.model).ffn[1] == 0 == anatomy_of(found.model).heads[0]
    assert float(removed(Budget(0.5), size, Counts.of(new.decide()))) == pytest.approx(0, abs=1e-6)
    assert float(removed(Budget(0.5), size, new.expected()).detach()) == pytest.approx(0, abs=0.01)


def test_budgets_count_from_what_is_left():
    assert relative(Budget(0.6), 100.0, 60.0).sparsity == pytest.approx(1 / 3)
    with pytest.raises(SuiteError, match="already as small as"):
        relative(Budget(0.4), 100.0, 60.0)
    for method in MEMBERS.values():
        with pytest.raises(SuiteError, match="latency"):
            replace(method, budget=Budget(0.6, "latency"))
    with pytest.raises(SuiteError, match="fidelity"):
        replace(MEMBERS["CoFi"], fidelity="official")


def test_a_damaged_handover_is_named(tmp_path):
    run(MEMBERS["VTrans"], tmp_path)
    (tmp_path / HANDOVER / "gates.safetensors").write_bytes(b"x")
    with pytest.raises(SuiteError, match="no whole pruning state"):
        run(replace(MEMBERS["VTrans"], budget=Budget(0.6)), tmp_path / "on", tmp_path / HANDOVER)


def test_stages_share_names_with_those_of_a_single_size():
    first = MEMBERS["VTrans"].stages()[0]
    assert isinstance(first, PruneOn) and first.name == "prune"


def test_a_target_rises_from_what_inherited_gates_expect(tmp_path, monkeypatch):
    seen, losses = [], PruningObjective.losses

    def watched(self, batch, step, total):
        if not step:
            seen.append((self.origin, self.sparsity().item()))
        return losses(self, batch, step, total)

    monkeypatch.setattr(PruningObjective, "losses", watched)
    member = replace(MEMBERS["VTrans"], constraint=Constraint(origin="gates"))
    run(member, tmp_path / "0.4")
    run(replace(member, budget=Budget(0.6)), tmp_path / "0.6", tmp_path / "0.4" / HANDOVER)
    for origin, expected in seen:
        assert origin == pytest.approx(expected)
    assert len(seen) == 2 and abs(seen[1][0] - seen[0][0]) > 0.01
