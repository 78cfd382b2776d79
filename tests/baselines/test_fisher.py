"""Fisher: gradients of masks, the search under a budget, rearrangement, and scales by least squares."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import FAMILIES, tiny_bert, tiny_examples

from baselines.fisher import Fisher, FisherRecovered, SearchMasks, TuneMasks, search
from baselines.parts.mask_gradients import BATCH, TOKENS, ReportedBatches, draw_rows, mask_gradients, rearranged
from baselines.parts.reconstruction import solve, tuned
from baselines.parts.unit_scores import keep_share, weight_of
from vtrans.anatomy import anatomy_of
from vtrans.data.examples import inputs_of, unlabelled
from vtrans.errors import RunCancelled
from vtrans.methods.base import CompressionState
from vtrans.pruning.counts import Counts
from vtrans.pruning.masking import apply_masks
from vtrans.pruning.masks import Masks
from vtrans.pruning.size import Size, amount, removed
from vtrans.settings import Budget, Schedule
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext

SCHEDULE = Schedule(steps=3, batch=8, lr=1e-3, precision="fp32")


def big_enough():
    return tiny_bert(hidden_size=48, intermediate_size=256)


def new_state() -> CompressionState:
    return CompressionState(Teacher(big_enough()), tiny_examples(), 0, RunContext())


def test_freed_memory_goes_back_after_each_batch(monkeypatch):
    """Else what is kept of each batch lies between freed blocks, and the heap grows with every batch."""
    trimmed, steps = [], []
    monkeypatch.setattr("baselines.parts.mask_gradients.trim", lambda collect: trimmed.append(len(steps)))
    state = new_state()
    state.run_context.report = lambda label, step, total, numbers: steps.append((label, step, total))
    assert [*ReportedBatches([[0], [1, 2]], state, SearchMasks(Budget(0.5)))] == [[0], [1, 2]]
    assert steps == [("0-searchmasks", 1, 2), ("0-searchmasks", 2, 2)] and trimmed == [0, 1]


def test_gradients_are_those_of_each_row():
    model, rows = big_enough(), tiny_examples()
    found = mask_gradients(model, rows, [[0, 1, 2]])
    anatomy = anatomy_of(model)
    for row in range(3):
        heads = [torch.ones(n, requires_grad=True) for n in anatomy.heads]
        ones = Masks.dense(anatomy)
        with apply_masks(model, ones) as masking:
            layers = ones.attention_layer
            masking.masks = Masks.of(ones.hidden, heads, ones.ffn, layers, layers)
            grads = torch.autograd.grad(model(**inputs_of(rows.batch([row]))).loss, heads)
        for layer, grad in enumerate(grads):
            torch.testing.assert_close(found.heads[layer][row], grad, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("sparsity", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("quantity", ["parameters", "macs"])
def test_reaches_its_size(sparsity, quantity):
    state = new_state()
    budget = Budget(sparsity, quantity)
    small = Fisher(budget, SearchMasks(budget, samples=16)).compress(state)
    dense, left = Size.of(state.teacher.model), Size.of(small)
    real = 1 - float(amount(budget, left, left.dense) / amount(budget, dense, dense.dense))
    assert real == pytest.approx(sparsity, abs=0.01)
    assert all(anatomy_of(small).heads) and all(anatomy_of(small).ffn)
    assert state.report["pruning"]["tuned_sublayers"] > 0


def test_recovery_trains_what_the_search_left():
    state = new_state()
    budget = Budget(0.5)
    small = FisherRecovered(budget, SearchMasks(budget, samples=16), recover=SCHEDULE).compress(state)
    assert anatomy_of(small).hidden == 48
    assert {"0-searchmasks", "1-tunemasks", "2-materialise", "3-recover"} == set(state.report["seconds"])


@given(st.integers(0, 10**6), st.floats(0.3, 0.8))
@settings(max_examples=15, deadline=None)
def test_the_search_keeps_no_less_than_equal_shares(seed, sparsity):
    torch.manual_seed(seed)
    model, budget = big_enough(), Budget(sparsity)
    size, anatomy = Size.of(model), anatomy_of(model)
    heads, ffn = [torch.rand(4) for _ in range(3)], [torch.rand(256) / 16 for _ in range(3)]
    masks = search(budget, size, heads, ffn)
    assert float(removed(budget, size, Counts.of(masks))) == pytest.approx(sparsity, abs=0.01)

    def kept(found):
        return sum(float(i[m != 0].sum()) for i, m in zip(heads + ffn, (*found.heads, *found.ffn), strict=True))

    # Of equal shares that are no larger: their heads at most the budget's share, and FFN units to fit.
    share = max(s for s in torch.linspace(0, 1, 200).tolist() if within(budget, size, anatomy, heads, ffn, s))
    assert kept(masks) >= kept(keep_share(anatomy, heads, ffn, 1 - sparsity, share)) - 0.05 * kept(masks)
    for importance, mask in zip(heads + ffn, (*masks.heads, *masks.ffn), strict=True):
        assert importance[mask != 0].min() >= importance[mask == 0].max() if (mask == 0).any() else True


def within(budget, size, anatomy, heads, ffn, share) -> bool:
    masks = keep_share(anatomy, heads, ffn, 1 - budget.sparsity, share)
    return float(removed(budget, size, Counts.of(masks))) >= budget.sparsity - 1e-9 or share == 0


@given(st.integers(0, 10**6), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_rearranging_keeps_the_number_and_never_hurts(seed, kept):
    torch.manual_seed(seed)
    gradients = torch.randn(6, 10)
    keep = torch.zeros(10, dtype=torch.bool)
    keep[gradients.square().sum(0).argsort(descending=True)[:kept]] = True
    better = rearranged(keep, gradients)
    assert int(better.sum()) == kept

    def harm(mask):
        return gradients[:, ~mask].sum(1).square().sum()

    assert harm(better) <= harm(keep) * (1 + 1e-5)


def test_two_units_that_cancel_are_pruned_together():
    gradients = torch.tensor([[1.0, -1.0, 0.9]])
    assert rearranged(torch.tensor([False, True, False]), gradients).tolist() == [False, False, True]


def test_scales_bring_back_what_a_copy_of_a_unit_did():
    model, rows = big_enough(), tiny_examples()
    layer = model.bert.encoder.layer[0]
    with torch.no_grad():  # unit 1 does what unit 0 does
        for tensor in (layer.intermediate.dense.weight, layer.intermediate.dense.bias):
            tensor[1] = tensor[0]
        layer.output.dense.weight[:, 1] = layer.output.dense.weight[:, 0]
    masks = Masks.dense(anatomy_of(model))
    masks.ffn[0][1] = 0.0
    scaled, count = tuned(model.eval(), rows, draw_rows(rows, 64, 0), masks)
    assert count == 1
    assert float(scaled.ffn[0][0]) == pytest.approx(2.0, abs=0.15)  # the ridge pulls it towards 1
    assert float(scaled.ffn[0][1]) == 0.0
    others = torch.cat([scaled.ffn[0][2:], *scaled.ffn[1:], *scaled.heads])
    torch.testing.assert_close(others, torch.ones_like(others), atol=0.1, rtol=0)


class Lengths(list):
    """Rows of which only the lengths are known."""

    lengths = property(lambda self: self)


@given(st.lists(st.integers(1, 600), min_size=1, max_size=80), st.integers(1, 100))
def test_rows_are_drawn_in_batches_that_fit_in_memory(lengths, count):
    batches = draw_rows(Lengths(lengths), count, seed=0)
    drawn = [row for batch in batches for row in batch]
    assert len(set(drawn)) == len(drawn) == min(count, len(lengths))
    assert [lengths[row] for row in drawn] == sorted(lengths[row] for row in drawn)
    assert all(len(batch) <= BATCH and max(lengths[row] for row in batch) * len(batch) <= TOKENS for batch in batches)
    for batch, after in pairwise(batches):
        assert len(batch) == BATCH or lengths[after[0]] * (len(batch) + 1) > TOKENS


def test_a_run_stops_between_the_batches_of_a_layers_equations():
    state = new_state()
    state.decision = Masks.dense(anatomy_of(state.model))
    state.decision.heads[0][0] = 0.0
    steps, passes = [], []
    layer = state.model.get_submodule(anatomy_of(state.model).blocks[0].path)
    layer.register_forward_hook(lambda *rest: passes.append(1))

    def watch(stage, step, total, numbers):
        steps.append(step)
        state.run_context.stop = len(steps) > total  # all were recorded, the first layer's equations have begun

    state.run_context.report = watch
    with pytest.raises(RunCancelled):
        TuneMasks(samples=64).run(state)
    assert steps == [*range(1, max(steps) + 1), 1] and max(steps) > 1
    assert len(passes) == max(steps) + 2  # dense and pruned, of the first batch alone


@pytest.mark.parametrize("gone", ["", "attention_layer", "ffn_layer"])
@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_layer_by_layer_gives_what_whole_passes_give(family, gone):
    model, rows, batches = FAMILIES[family](), tiny_examples(), [[0, 1, 2], [3, 4]]
    anatomy = anatomy_of(model)
    dense = Masks.dense(anatomy)
    pruned = [every_other(layer) for layer in dense.heads], [every_other(layer) for layer in dense.ffn]
    layers = {
        site: [torch.tensor(float(site != gone or i != 1)) for i in range(len(anatomy.blocks))] for site in LAYERS
    }
    masks = Masks.of(dense.hidden, *pruned, *layers.values())
    found, count = tuned(model, rows, batches, masks)
    assert count > 0
    for index, block in enumerate(anatomy.blocks):
        for site, path, width in (("heads", block.out, anatomy.head_size * block.group), ("ffn", block.down, 1)):
            if not (masks.attention_alive if site == "heads" else masks.ffn_alive)[index]:
                continue
            until = up_to(found, masks, index, site)
            sums = whole_sums(model, rows, batches, (dense, until), path, getattr(masks, site)[index], width)
            scales = solve(*sums, width)
            ones = torch.ones(int(getattr(masks, site)[index].sum()))
            expected = ones if scales is None else scales.float()
            real = getattr(found, site)[index]
            torch.testing.assert_close(real[real != 0], expected, atol=1e-3, rtol=1e-3)


def every_other(units):
    return torch.tensor([float(unit % 2 == 0) for unit in range(len(units))])


def up_to(found, masks, index, site):
    """The scales that were known when those of a sub-layer were sought."""
    heads = [*found.heads[: index + (site == "ffn")], *masks.heads[index + (site == "ffn") :]]
    ffn = [*found.ffn[:index], *masks.ffn[index:]]
    return Masks.of(masks.hidden, heads, ffn, masks.attention_layer, masks.ffn_layer)


LAYERS = ("attention_layer", "ffn_layer")


def whole_sums(model, rows, batches, masks, path, keep, width):
    module, kept = model.get_submodule(path), keep.repeat_interleave(width) != 0
    weight = weight_of(model, path)[:, kept].double()
    bias = 0 if module.bias is None else module.bias.double()
    seen = {}
    handle = module.register_forward_hook(lambda _, args, output: seen.update(into=args[0], out=output))
    left, right = 0, 0
    with apply_masks(model, masks[0]) as masking:
        for batch in batches:
            inputs = unlabelled(rows.batch(batch))
            real = inputs["attention_mask"].bool()
            passes = []
            for masking.masks in masks:
                model(**inputs)
                passes.append({name: value[real].double() for name, value in seen.items()})
            into = passes[1]["into"][:, kept]
            left = left + into.T @ into
            right = right + (((passes[0]["out"] - bias) @ weight) * into).sum(0)
    handle.remove()
    return left * (weight.T @ weight), right


def test_scales_for_pruned_hidden_units_are_refused():
    model = big_enough()
    masks = Masks.dense(anatomy_of(model))
    masks.hidden[0] = 0.0
    with pytest.raises(ValueError, match="heads and FFN units alone"):
        tuned(model, tiny_examples(), [[0]], masks)


def test_an_ill_posed_system_changes_nothing():
    assert solve(torch.eye(2, dtype=torch.float64), torch.tensor([50.0, 1.0], dtype=torch.float64), 1) is None


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_gradients(family):
    make = FAMILIES[family]
    model = make()
    if "Classification" not in type(model).__name__:
        pytest.skip("its rows carry no labels here")
    found = mask_gradients(model, tiny_examples(), [[0, 1]])
    assert all(g.abs().sum() > 0 for g in (*found.heads, *found.ffn))
