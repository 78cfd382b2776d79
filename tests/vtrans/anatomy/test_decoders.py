"""Pruned decoders: their sizes, their tied heads, and generation with a cache that equals the one without."""

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from tiny import DECODERS, random_decision, tiny_llama
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from vtrans.anatomy import anatomy_of
from vtrans.pruning.masking import apply_masks
from vtrans.pruning.masks import Masks
from vtrans.pruning.size import Size
from vtrans.pruning.surgery import materialise
from vtrans.saving.pruned import load_pruned, save_pruned

PROMPT = torch.tensor([[7, 9, 11, 8], [5, 6, 30, 12]])


@pytest.mark.parametrize("family", DECODERS)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@given(seed=st.integers(0, 10_000), dead=st.sets(st.integers(0, 2)))
def test_generation_with_the_cache_equals_that_without(family, attention, seed, dead):
    model = DECODERS[family](attention)
    d = random_decision(model, seed, 1.0)
    layers = [z * (index not in dead) for index, z in enumerate(d.attention_layer)]
    small = materialise(model, Masks.of(d.hidden, d.heads, d.ffn, layers, d.ffn_layer))
    small.generation_config.eos_token_id = None
    got = small.generate(PROMPT, attention_mask=torch.ones_like(PROMPT), max_new_tokens=8, do_sample=False)
    with torch.no_grad():
        logits = small(input_ids=got, use_cache=False).logits[:, PROMPT.shape[1] - 1 : -1]
    chosen = logits.gather(-1, got[:, PROMPT.shape[1] :, None])[..., 0]
    assert got.shape[1] == PROMPT.shape[1] + 8
    torch.testing.assert_close(chosen, logits.amax(-1), atol=1e-4, rtol=0)  # ties may go either way


@pytest.mark.parametrize("family", DECODERS)
def test_tied_heads_stay_tied(family, tmp_path):
    model = DECODERS[family](**({} if family == "gpt2" else {"tie_word_embeddings": True}))
    small = materialise(model, random_decision(model, 3, 0.5))
    loaded = load_pruned(save_pruned(small, tmp_path))
    for each in (model, small, loaded):
        assert each.get_output_embeddings().weight is each.get_input_embeddings().weight
        assert anatomy_of(each).tied


def test_oracles_of_published_sizes():
    with torch.device("meta"):
        gpt2, llama = GPT2LMHeadModel(GPT2Config()), LlamaForCausalLM(LlamaConfig())
    assert sum(p.numel() for p in gpt2.parameters()) == 124_439_808
    assert sum(p.numel() for p in llama.parameters()) == 6_738_415_616
    for model, encoder in ((gpt2, 12 * 7_087_872), (llama, 32 * 202_383_360)):
        size = Size.of(model)
        assert float(size.parameters(size.dense)) == encoder


def test_groups_of_keys_and_values_are_kept_whole():
    model = tiny_llama()
    d = Masks.dense(anatomy_of(model))
    heads = [torch.tensor([1.0, 0.0]), *d.heads[1:]]
    small = materialise(model, Masks.of(d.hidden, heads, d.ffn, d.attention_layer, d.ffn_layer))
    attention = small.model.layers[0].self_attn
    assert (attention.q_proj.out_features, attention.k_proj.out_features) == (12, 6)
    assert torch.equal(attention.q_proj.weight, model.model.layers[0].self_attn.q_proj.weight[:12])


@pytest.mark.parametrize("family", DECODERS)
@pytest.mark.parametrize("kind", ["QuestionAnswering", "TokenClassification", "SequenceClassification"])
def test_other_heads_are_cut_and_load_as_they_were(family, kind, tmp_path):
    language_model = DECODERS[family]()
    config = language_model.config
    config.pad_token_id = 0
    name = type(language_model).__name__.replace("ForCausalLM", "").replace("LMHeadModel", "")
    model = getattr(transformers, f"{name}For{kind}")(config).eval()
    decision = random_decision(model, 5, 0.5)
    small = materialise(model, decision)
    with torch.no_grad():
        with apply_masks(model, decision):
            masked = model(PROMPT)[0]
        torch.testing.assert_close(small(PROMPT)[0], masked, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(load_pruned(save_pruned(small, tmp_path))(PROMPT)[0], small(PROMPT)[0])
