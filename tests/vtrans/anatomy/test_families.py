"""One matrix that every family joins by its line in `tests/tiny.py`: sizes, surgery, files, and a whole compression."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import ENCODERS, FAMILIES, inputs, random_decision, tiny_examples

from vtrans.anatomy import anatomy_of, families, family_of
from vtrans.data.windows import Windows
from vtrans.methods.base import CompressionState
from vtrans.methods.vtrans import VTrans
from vtrans.pruning.masking import apply_masks
from vtrans.pruning.masks import Masks
from vtrans.pruning.size import Size
from vtrans.pruning.surgery import materialise
from vtrans.saving.pruned import load_pruned, save_pruned
from vtrans.settings import Budget, Schedule
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext


def logits(model, batch):
    with torch.no_grad():
        return model(**batch).logits


def decision(model, seed, dead):
    d = random_decision(model, seed, 1.0)
    layers = [z * (index not in dead) for index, z in enumerate(d.attention_layer)]
    return Masks.of(d.hidden, d.heads, d.ffn, layers, d.ffn_layer)


def test_every_registered_family_is_in_the_matrix():
    assert {anatomy_of(make()).family for make in FAMILIES.values()} == set(families())


@pytest.mark.parametrize("family", FAMILIES)
@given(seed=st.integers(0, 10_000), dead=st.sets(st.integers(0, 2), max_size=2))
def test_closed_forms_count_the_tensors(family, seed, dead):
    model = FAMILIES[family]()
    for each in (model, materialise(model, decision(model, seed, dead))):
        size = Size.of(each)
        assert float(size.parameters(size.dense, "all")) == sum(p.numel() for p in each.parameters())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@given(seed=st.integers(0, 10_000), dead=st.sets(st.integers(0, 2), max_size=2))
def test_sizes_of_a_decision_are_those_of_the_model_it_leaves(family, attention, seed, dead):
    from vtrans.pruning.counts import Counts

    model = FAMILIES[family](attention)
    masks = decision(model, seed, dead)
    small = materialise(model, masks)
    dense, own = Size.of(model), Size.of(small)
    for denominator in ("encoder", "all"):
        foretold = float(dense.parameters(Counts.of(masks), denominator))
        assert foretold == pytest.approx(float(own.parameters(own.dense, denominator)))
    with apply_masks(model, masks):
        masked = logits(model, inputs())
    real = inputs()["attention_mask"].bool() if masked.ndim == 3 else slice(None)
    torch.testing.assert_close(masked[real], logits(small, inputs())[real], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_model_is_loaded_bit_equal(family, tmp_path):
    small = materialise(FAMILIES[family](), decision(FAMILIES[family](), 5, {1}))
    loaded = load_pruned(save_pruned(small, tmp_path))
    assert torch.equal(logits(loaded, inputs()), logits(small, inputs()))


@pytest.mark.parametrize("family", [*ENCODERS, "gpt2", "llama", "mistral", "qwen2", "qwen3"])
def test_vtrans_compresses_it_to_its_size(family):
    model = FAMILIES[family]()
    if family in ENCODERS:
        examples = tiny_examples()
        examples = (
            examples
            if family_of(model.config).token_types
            else type(examples)(examples.ids, (), examples.labels, examples.pad)
        )
    else:
        examples = Windows.of(torch.randint(5, 60, (400,)).tolist(), 16, pad=0)
    short = Schedule(steps=8, batch=8, lr=1e-3, precision="fp32")
    state = CompressionState(Teacher(model), examples, 0, RunContext())
    small = VTrans(Budget(0.5), short, short).compress(state)
    size, dense = Size.of(small), Size.of(model)
    kept = float(size.parameters(size.dense)) / float(dense.parameters(dense.dense))
    assert kept == pytest.approx(0.5, abs=0.01)
