"""Masked equals materialised, and saving loses nothing, for every family and over random gates."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import FAMILIES, MASKED_LM, inputs, random_decision

from vtrans.anatomy import anatomy_of
from vtrans.errors import SuiteError
from vtrans.pruning.masking import apply_masks, masked_layer_norm
from vtrans.pruning.masks import Masks
from vtrans.pruning.surgery import materialise
from vtrans.saving.pruned import load_pruned, save_pruned

MATRIX = pytest.mark.parametrize(("family", "attention"), [(f, a) for f in FAMILIES for a in ("eager", "sdpa")])


@torch.no_grad()
def gated_logits(model, values: Masks) -> torch.Tensor:
    with apply_masks(model, values):
        return model(**inputs()).logits


@MATRIX
@given(seed=st.integers(0, 10_000), log_alpha=st.floats(-3, 3))
def test_masked_equals_materialised(family, attention, seed, log_alpha):
    model = FAMILIES[family](attention).double()  # in fp32, rounding alone can come to more than 1e-5
    decision = random_decision(model, seed, log_alpha)
    with torch.no_grad():
        small = materialise(model, decision)(**inputs()).logits
    torch.testing.assert_close(gated_logits(model, decision), small, atol=1e-5, rtol=0)


@MATRIX
@pytest.mark.parametrize("gone", ["attention_layer", "ffn_layer", "heads", "ffn"])
def test_fully_pruned_sublayers_are_the_identity(family, attention, gone):
    model = FAMILIES[family](attention)
    dense = Masks.dense(anatomy_of(model))
    fields = {n: getattr(dense, n) for n in ("hidden", "heads", "ffn", "attention_layer", "ffn_layer")}
    fields[gone] = [fields[gone][0] * 0, *fields[gone][1:-1], fields[gone][-1] * 0]
    decision = Masks.of(**fields)
    small = materialise(model, decision)
    kept = decision.kept()["heads" if gone in ("attention_layer", "heads") else "ffn"]
    assert kept[0] == kept[-1] == 0 != kept[1]
    anatomy = anatomy_of(small)
    assert 0 in (anatomy.heads if gone in ("attention_layer", "heads") else anatomy.ffn)
    with torch.no_grad():
        torch.testing.assert_close(gated_logits(model, decision), small(**inputs()).logits, atol=1e-5, rtol=0)


@MATRIX
def test_all_sublayers_gone(family, attention):
    model = FAMILIES[family](attention)
    dense = Masks.dense(anatomy_of(model))
    nothing = [torch.zeros(())] * len(dense.heads)
    decision = Masks.of(dense.hidden, dense.heads, dense.ffn, nothing, nothing)
    with torch.no_grad():
        small = materialise(model, decision)(**inputs()).logits
    torch.testing.assert_close(gated_logits(model, decision), small, atol=1e-5, rtol=0)


@MATRIX
def test_gating_leaves_nothing_behind(family, attention):
    model = FAMILIES[family](attention)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        dense = model(**inputs()).logits
        gated_logits(model, random_decision(model, 1, 0.0))
        assert torch.equal(model(**inputs()).logits, dense)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks or "forward" in m.__dict__ for m in model.modules())


def test_gating_is_undone_by_an_error(model):
    with pytest.raises(RuntimeError, match="inside"), apply_masks(model, Masks.dense(anatomy_of(model))):
        raise RuntimeError("inside")
    assert not any("forward" in m.__dict__ for m in model.modules())


@MATRIX
@given(seed=st.integers(0, 10_000))
def test_saved_equals_loaded(family, attention, seed, tmp_path_factory):
    model = FAMILIES[family](attention)
    small = materialise(model, random_decision(model, seed, 0.0))
    folder = save_pruned(small, tmp_path_factory.mktemp("pruned"))
    loaded = load_pruned(folder)
    loaded.set_attn_implementation(attention)
    state = loaded.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in small.state_dict().items())
    with torch.no_grad():
        assert torch.equal(small(**inputs()).logits, loaded(**inputs()).logits)


def test_a_pruned_model_can_be_pruned_again(model):
    once = materialise(model, random_decision(model, 3, 1.0))
    decision = random_decision(once, 4, 0.5)
    with torch.no_grad():
        twice = materialise(once, decision)(**inputs()).logits
    torch.testing.assert_close(gated_logits(once, decision), twice, atol=1e-5, rtol=0)


@pytest.mark.parametrize("damage", ["missing", "truncated", "wider", "not json", "a list"])
def test_damaged_pruned_model_is_named(model, tmp_path, damage):
    folder = save_pruned(materialise(model, random_decision(model, 0, 0.0)), tmp_path / "m")
    shapes, weights = folder / "config.json", folder / "model.safetensors"
    if damage == "missing":
        weights.unlink()
    elif damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "wider":
        shapes.write_text(shapes.read_text().replace('"vocab_size": ', '"vocab_size": 9'))
    else:
        shapes.write_text("{" if damage == "not json" else "[]")
    with pytest.raises(SuiteError, match="save it again"):
        load_pruned(folder)


@given(st.integers(1, 16), st.integers(0, 1000))
def test_masked_norm_is_the_norm_of_the_survivors(kept, seed):
    torch.manual_seed(seed)
    x, z, norm = torch.randn(4, 5, 16), torch.rand(16) + 0.5, torch.nn.LayerNorm(16)
    torch.nn.init.normal_(norm.weight), torch.nn.init.normal_(norm.bias)
    survivors = torch.zeros(16, dtype=torch.bool)
    survivors[torch.randperm(16)[:kept]] = True
    got = masked_layer_norm(x, norm.weight, norm.bias, norm.eps, z * survivors, survivors)
    want = torch.nn.functional.layer_norm(x[..., survivors], (kept,), norm.weight[survivors], norm.bias[survivors])
    torch.testing.assert_close(got[..., survivors], want * z[survivors], atol=1e-4, rtol=1e-3)
    assert got[..., ~survivors].abs().sum() == 0


def test_unknown_family_is_refused():
    from transformers import T5Config, T5Model

    config = T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    with pytest.raises(SuiteError, match="the model family 't5' is not supported"):
        anatomy_of(T5Model(config))


def test_two_heads_are_refused():
    from transformers import BertConfig, BertForPreTraining

    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    with pytest.raises(SuiteError, match="two heads on top; load it as BertForMaskedLM"):
        anatomy_of(BertForPreTraining(config))


@pytest.mark.parametrize("family", MASKED_LM)
def test_output_head_of_masked_words_stays_tied(family):
    model = MASKED_LM[family]()
    small = materialise(model, random_decision(model, 0, 0.0))
    assert anatomy_of(small).hidden < anatomy_of(model).hidden
    assert anatomy_of(small).tied == anatomy_of(model).tied != ()
