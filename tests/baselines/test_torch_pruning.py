"""Torch-Pruning's rows: the library's own scores and cuts, at our sizes."""

from types import SimpleNamespace

import pytest
import torch
from tiny import tiny_bert, tiny_distilbert, tiny_examples, tiny_gpt2, tiny_roberta

from baselines.parts.dependency_scores import _in_order, accumulate_gradients, dependency_scores
from baselines.torch_pruning import ScoreGroups, TorchPruningMagnitude, TorchPruningTaylor
from vtrans.anatomy import anatomy_of
from vtrans.errors import SuiteError
from vtrans.methods.base import CompressionState, check_packages
from vtrans.pruning.masks import Masks
from vtrans.pruning.size import Size, amount
from vtrans.pruning.surgery import materialise
from vtrans.settings import Budget, Schedule
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext

tp = pytest.importorskip("torch_pruning")
SCHEDULE = Schedule(steps=3, batch=8, lr=1e-3, precision="fp32")
EXAMPLE = {"input_ids": torch.arange(8)[None]}


def cut_by_the_library(model, share, importance):
    """Widths and the smaller model of Torch-Pruning's own pruner, heads and FFN units of every layer at one share."""
    blocks = anatomy_of(model).blocks
    projections = [model.get_submodule(path) for b in blocks for path in (b.query, b.key, b.value)]
    heads = dict.fromkeys(projections, blocks[0].heads)
    pruner = tp.pruner.BasePruner(
        model,
        EXAMPLE,
        importance,
        pruning_ratio=share,
        num_heads=heads,
        prune_num_heads=True,
        prune_head_dims=False,
        head_pruning_ratio=share,
        output_transform=lambda found: found.logits.sum(),
        ignored_layers=[model.classifier, model.bert.pooler.dense],
    )
    pruner.step()
    for block in blocks:
        attention = model.get_submodule(block.query.rpartition(".")[0])
        attention.num_attention_heads = pruner.num_heads[attention.query]
        attention.all_head_size = attention.num_attention_heads * attention.attention_head_size
    return model


@pytest.mark.parametrize("kind", ["magnitude", "taylor"])
def test_units_are_those_that_the_library_keeps(kind):
    rows = tiny_examples()
    ours, theirs = tiny_bert(), tiny_bert()
    for model in (ours, theirs):
        accumulate_gradients(model, rows, [[0, 1, 2, 3]])
    scores = dependency_scores(ours, EXAMPLE, kind)
    score = {"magnitude": tp.importance.GroupMagnitudeImportance, "taylor": tp.importance.GroupTaylorImportance}[kind]()
    smaller = cut_by_the_library(theirs.eval(), 0.5, score).eval()

    def best(values):
        kept = torch.zeros(len(values))
        kept[values.topk(len(values) // 2).indices] = 1.0
        return kept

    layers = [torch.ones(())] * len(scores.heads)
    heads, ffn = ([best(each) for each in site] for site in (scores.heads, scores.ffn))
    cut = materialise(ours.eval(), Masks.of(best(scores.hidden), heads, ffn, layers, layers))
    with torch.no_grad():
        torch.testing.assert_close(cut(**EXAMPLE).logits, smaller(**EXAMPLE).logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("make", [tiny_bert, tiny_roberta, tiny_distilbert])
@pytest.mark.parametrize("hidden", [True, False])
def test_reaches_its_size(make, hidden):
    budget = Budget(0.6)
    state = CompressionState(Teacher(make(intermediate_size=128)), tiny_examples(), 0, RunContext())
    method = TorchPruningTaylor(budget, ScoreGroups(budget, "taylor", hidden, samples=16), SCHEDULE)
    small = method.compress(state)
    dense, left = Size.of(state.teacher.model), Size.of(small)
    real = 1 - float(amount(budget, left, left.dense) / amount(budget, dense, dense.dense))
    assert real == pytest.approx(0.6, abs=0.01)
    assert (anatomy_of(small).hidden < anatomy_of(state.teacher.model).hidden) == hidden
    assert all(p.grad is None for p in state.teacher.model.parameters())


def test_scores_are_put_in_the_order_of_the_columns_that_they_are_for():
    module = torch.nn.Linear(3, 2)

    def prune_in_channels():
        """The library's name for what reads the units."""

    lead = SimpleNamespace(target=SimpleNamespace(module=module), handler=prune_in_channels)
    found = _in_order([(lead, [2, 0, 1])], {module: "ffn 0"}, torch.tensor([0.2, 0.0, 0.1]))
    assert found.tolist() == pytest.approx([0.0, 0.1, 0.2])


def test_a_frozen_model_as_compress_returns_it_is_scored_alike():
    frozen = tiny_bert().requires_grad_(False)
    found, expected = (dependency_scores(each, EXAMPLE, "magnitude") for each in (frozen, tiny_bert()))
    torch.testing.assert_close(found.hidden, expected.hidden)


def test_what_it_is_not_for_is_said(monkeypatch):
    budget = Budget(0.5)
    with pytest.raises(SuiteError, match="not for GPT2LMHeadModel; use random, magnitude or Fisher"):
        dependency_scores(tiny_gpt2(), EXAMPLE, "magnitude")
    monkeypatch.setattr("vtrans.methods.base.find_spec", lambda name: None)
    with pytest.raises(SuiteError, match="needs the package torch_pruning, which is not installed; run .*peers"):
        check_packages(TorchPruningMagnitude(budget, ScoreGroups(budget, "magnitude"), SCHEDULE))
