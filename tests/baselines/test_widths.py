"""Random units in learnt widths: as many as the decision keeps, cut from the dense model."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_bert, tiny_examples

from baselines.cofi import CoFi
from baselines.widths import RandomCoFiWidths, RandomVTransWidths, redraw
from vtrans.anatomy import anatomy_of
from vtrans.methods.base import CompressionState
from vtrans.methods.stages import Recover
from vtrans.methods.vtrans import VTrans
from vtrans.pruning.masks import Masks
from vtrans.pruning.surgery import materialise
from vtrans.settings import Budget, Schedule
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext

SCHEDULE = Schedule(steps=6, batch=8, lr=1e-3, precision="fp32")


@given(st.integers(0, 1000), st.integers(1, 24), st.lists(st.integers(0, 4), min_size=2, max_size=2))
def test_as_many_units_at_each_site(seed, hidden, heads):
    some = torch.linspace(0.5, 2.0, 24) * (torch.arange(24) < hidden)
    layers = [torch.ones(()), torch.zeros(())]
    decision = Masks.of(some, [torch.arange(4) < n for n in heads], [torch.arange(9) < 5] * 2, layers, layers)
    found = redraw(decision, torch.Generator().manual_seed(seed))
    assert found.kept() == decision.kept()
    assert found.attention_alive == decision.attention_alive and found.ffn_alive == decision.ffn_alive
    assert set(found.hidden.tolist()) <= {0.0, 1.0}  # scales that gates have learnt are not those of other units


def test_units_differ_by_seed_and_not_by_run():
    decision = Masks.dense(anatomy_of(tiny_bert()))
    decision = Masks.of(
        decision.hidden,
        decision.heads,
        [torch.arange(96) < 40] * len(decision.ffn),
        decision.attention_layer,
        decision.ffn_layer,
    )
    one, same, other = (redraw(decision, torch.Generator().manual_seed(seed)).ffn[0] for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


PAIRS = pytest.mark.parametrize("drawing, learning", [(RandomVTransWidths, VTrans), (RandomCoFiWidths, CoFi)])


@PAIRS
def test_it_has_the_widths_of_the_method_and_the_dense_weights(drawing, learning):
    teacher = tiny_bert()
    learnt = CompressionState(Teacher(teacher), tiny_examples(), 3, RunContext())
    learning(Budget(0.5), SCHEDULE, SCHEDULE).compress(learnt)
    drawn = CompressionState(Teacher(teacher), tiny_examples(), 3, RunContext())
    method = drawing(Budget(0.5), SCHEDULE, SCHEDULE)
    for drawn.stage, stage in enumerate(method.stages()[:3]):
        drawn.begun.append({})
        stage.run(drawn)
    assert drawn.report["pruning"]["kept"] == learnt.report["pruning"]["kept"]
    assert drawn.report["pruning"]["heads_kept"] != learnt.report["pruning"]["heads_kept"]
    assert drawn.gates is None and drawn.transform is None and isinstance(method.stages()[3], Recover)
    cut = materialise(teacher, drawn.decision).state_dict()
    assert all(torch.equal(value, cut[name]) for name, value in drawn.model.state_dict().items())


def test_each_seed_draws_its_own_units():
    drawn = []
    for seed in (0, 1):
        state = CompressionState(Teacher(tiny_bert()), tiny_examples(), seed, RunContext(), report={"pruning": {}})
        dense = Masks.dense(anatomy_of(state.model))
        state.decision = Masks.of(
            torch.arange(24) < 12, dense.heads, dense.ffn, *(dense.attention_layer, dense.ffn_layer)
        )
        RandomVTransWidths(Budget(0.5), SCHEDULE, SCHEDULE).stages()[1].run(state)
        drawn.append(state.decision.hidden)
    assert not torch.equal(*drawn)


@PAIRS
def test_all_but_the_units_are_those_of_the_method(drawing, learning):
    pruning, _, *others = drawing(Budget(0.5), SCHEDULE, SCHEDULE).stages()
    assert (pruning, *others) == learning(Budget(0.5), SCHEDULE, SCHEDULE).stages()


def test_units_are_drawn_in_place_of_decided_ones():
    budget = Budget(0.5)
    with pytest.raises(AssertionError, match="follows a decision"):
        RandomVTransWidths(budget, SCHEDULE, SCHEDULE).stages()[1].run(
            CompressionState(Teacher(tiny_bert()), tiny_examples(), 0, RunContext())
        )
