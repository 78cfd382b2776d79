"""Tokens really dropped: gathered equals masked, whatever the batch, the order and the padding."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import TOKEN_FAMILIES, dropping, inputs, random_decision, token_lengths
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertLMHeadModel,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Model,
)

from vtrans.anatomy import anatomy_of
from vtrans.errors import SuiteError
from vtrans.pruning.surgery import materialise
from vtrans.saving.pruned import load_pruned, save_pruned
from vtrans.tokens import Predictor, Retention, Threshold, attach, record_tokens, token_pruning_encoder
from vtrans.tokens.attention import masked_softmax, significance_of
from vtrans.tokens.predictor import skim_predictor

KINDS = ("predictor", "retention", "threshold")
MATRIX = pytest.mark.parametrize(("family", "kind"), [(f, k) for f in TOKEN_FAMILIES for k in KINDS])


@torch.no_grad()
def logits(model, form: str, batch=None) -> torch.Tensor:
    token_pruning_encoder(model).form = form
    return model(**(batch or inputs())).logits


def close(got, want):
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


@MATRIX
@given(seed=st.integers(0, 10_000), static=st.booleans())
def test_gathered_equals_masked(family, kind, seed, static):
    model = TOKEN_FAMILIES[family]()
    if static:
        model = materialise(model, random_decision(model, seed, 0.5))
    dropping(model, kind, seed)
    batch = inputs(seed=seed, batch=4)
    close(logits(model, "gathered", batch), logits(model, "masked", batch))


@MATRIX
@given(seed=st.integers(0, 10_000))
def test_batch_and_order_do_not_matter(family, kind, seed):
    model, batch = dropping(TOKEN_FAMILIES[family](), kind, seed), inputs(batch=5, seed=seed)
    together = logits(model, "gathered", batch)
    lengths = token_lengths(model)
    for row in range(5):
        close(logits(model, "gathered", {k: v[row : row + 1] for k, v in batch.items()}), together[row : row + 1])
        assert torch.equal(token_lengths(model)[0], lengths[row])
    order = torch.tensor([3, 0, 4, 1, 2])
    close(logits(model, "gathered", {k: v[order] for k, v in batch.items()}), together[order])


@MATRIX
def test_padding_changes_nothing(family, kind):
    model, batch = dropping(TOKEN_FAMILIES[family](), kind, 3), inputs(batch=1)
    pad = {"input_ids": 1 if family == "roberta" else 0, "attention_mask": 0}
    more = {k: torch.full((1, 6), pad[k]) for k in batch}
    close_to = logits(model, "gathered", batch)
    lengths = token_lengths(model)
    padded = {k: torch.cat([v, more[k]], 1) for k, v in batch.items()}
    close(logits(model, "gathered", padded), close_to)
    assert torch.equal(token_lengths(model), lengths)


@MATRIX
@pytest.mark.parametrize("mask", [[0, 0, 1, 1], [0, 0, 0, 0]], ids=["left", "nothing else"])
def test_sequences_that_start_with_padding_are_refused(family, kind, mask):
    model = dropping(TOKEN_FAMILIES[family](), kind)
    batch = {"input_ids": torch.full((2, 4), 7), "attention_mask": torch.tensor([[1, 1, 1, 0], mask])}
    for form in ("gathered", "masked"):
        with pytest.raises(SuiteError, match="starts with padding"):
            logits(model, form, batch)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 1000))
def test_heads_that_read_every_position_get_the_last_states(kind, seed):
    torch.manual_seed(seed)
    config = BertConfig(vocab_size=60, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=32)
    model, batch = dropping(BertForQuestionAnswering(config), kind, seed), inputs(batch=4, seed=seed)
    starts = []
    with torch.no_grad():
        for form in ("gathered", "masked"):
            token_pruning_encoder(model).form = form
            starts.append(model(**batch).start_logits)
    assert starts[0].shape == batch["input_ids"].shape
    close(*starts)


@MATRIX
def test_tokens_are_really_gone(family, kind):
    model = dropping(TOKEN_FAMILIES[family](), kind, 1)
    widths = []
    for layer in token_pruning_encoder(model).layer:
        layer.output.register_forward_hook(lambda m, args, out: widths.append(len(out)))
    logits(model, "gathered")
    lengths = token_lengths(model)
    assert widths == lengths[:, :, 2].sum(0).tolist()
    assert widths[-1] < inputs()["attention_mask"].sum()
    assert (lengths[:, 1:] <= lengths[:, :-1]).all()
    assert (lengths >= 1).all()


@MATRIX
def test_saved_equals_loaded(family, kind, tmp_path):
    model = TOKEN_FAMILIES[family]()
    model = dropping(materialise(model, random_decision(model, 5, 0.5)), kind, 2)
    loaded = load_pruned(save_pruned(model, tmp_path / "m"))
    assert torch.equal(logits(model, "gathered"), logits(loaded, "gathered"))


def test_first_token_stays_when_all_are_skimmed(model):
    dropping(model, "predictor")
    with torch.no_grad():
        for mlp in token_pruning_encoder(model).selector.mlps.values():
            mlp[-1].weight.zero_()
            mlp[-1].bias.copy_(torch.tensor([5.0, -5.0]))
    assert torch.isfinite(logits(model, "gathered")).all()
    assert (token_lengths(model)[:, 0, 1:] == 1).all()


def test_predictor_starts_open_and_transformers_does_not_undo_it():
    torch.manual_seed(0)
    mlp = skim_predictor(768)
    assert sum(p.numel() for p in mlp.parameters()) == 595_202
    model = TOKEN_FAMILIES["bert"]()
    selector = Predictor.of(anatomy_of(model))
    with torch.no_grad():
        for each in selector.mlps.values():
            each[-1].weight.zero_()
    attach(model, selector)
    model.init_weights()
    bias = [each[-1].bias for each in selector.mlps.values()]
    assert all(abs(float(b[1] - b[0]) - 10) < 0.3 for b in bias)
    lower = Predictor.of(anatomy_of(TOKEN_FAMILIES["bert"]()), bias=2.0)
    assert all(abs(float(each[-1].bias[1] - each[-1].bias[0]) - 4) < 0.3 for each in lower.mlps.values())
    assert lower.settings() == selector.settings()  # a saved model has its weights
    assert torch.sigmoid(torch.tensor(-10.0)).item() == pytest.approx(4.5e-5, rel=0.01)


def test_training_masks_with_a_gradient_for_every_token(model):
    dropping(model, "predictor")
    model.train()
    torch.manual_seed(1)
    encoder = token_pruning_encoder(model)
    with record_tokens(model) as record:
        model(**inputs(), labels=torch.tensor([0, 1, 0])).loss.backward()
    assert len(record.traces) == 3
    assert not encoder.record.traces  # nobody asks outside the context, and nothing is held
    assert all(mlp[-1].weight.grad.abs().sum() > 0 for mlp in encoder.selector.mlps.values())
    for trace in record.traces:
        assert (trace.after <= trace.before + 1e-6).all()
        assert trace.after[~trace.real].sum() == 0
        assert set(trace.after.detach().unique().tolist()) <= {0.0, 1.0}


@given(st.integers(0, 1000), st.integers(1, 6))
def test_masked_softmax_is_the_softmax_of_the_kept(seed, kept):
    torch.manual_seed(seed)
    scores = 50 * torch.randn(1, 2, 6, 6)
    keep = torch.zeros(1, 6)
    keep[0, torch.randperm(6)[:kept]] = 1
    got = masked_softmax(scores, None, keep)
    want = scores.masked_fill(keep[:, None, None] == 0, -math.inf).softmax(-1)
    torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-5)
    official = masked_softmax(scores, None, keep, "official")
    torch.testing.assert_close(official, scores.softmax(-1) * keep[:, None, None])


def test_a_dropped_key_has_the_gradient_of_letting_it_in():
    scores = torch.zeros(1, 1, 1, 3)
    keep = torch.tensor([[1.0, 1.0, 0.0]], requires_grad=True)
    value = torch.tensor([1.0, 1.0, 4.0])
    (masked_softmax(scores, None, keep) * value).sum().backward()
    assert keep.grad[0, 2] == pytest.approx(1.5)  # e_j (v_j - out) / Z


def test_stochastic_evaluation_is_an_option(model):
    dropping(model, "predictor")
    assert torch.equal(logits(model, "gathered", inputs(length=30)), logits(model, "gathered", inputs(length=30)))
    token_pruning_encoder(model).selector.stochastic = True
    first = logits(model, "gathered", inputs(length=30))
    assert not torch.equal(first, logits(model, "gathered", inputs(length=30)))


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ([9, 5], "2 layers"),
        ([99, 5, 3], "99 tokens"),
        ([5, 9, 3], "rises from 5 to 9"),
        ([5, 3, 0], "keeps no token"),
        ([], "keeps no token"),
    ],
)
def test_retention_that_does_not_fit_is_refused(model, lengths, words):
    with pytest.raises(SuiteError, match=words):
        attach(model, Retention(lengths))


def test_thresholds_of_another_depth_are_refused(model):
    with pytest.raises(SuiteError, match="2 thresholds on a model of 3 layers"):
        attach(model, Threshold([0.1, 0.2]))


def test_mean_significance_counts_all_tokens_that_are_there():
    probabilities = torch.tensor([[0.2, 0.8, 0.0], [0.5, 0.5, 0.0], [0.1, 0.9, 0.0]]).expand(1, 2, 3, 3)
    found = significance_of(probabilities, torch.tensor([[True, True, False]]), "mean")
    assert found[0, :2].tolist() == pytest.approx([0.35, 0.65])
    assert found[0, :2].sum().item() == pytest.approx(1.0)  # as the rows of attention do


def test_predictor_of_another_width_is_refused(model):
    with pytest.raises(SuiteError, match=r"width 8 on a model of width 24"):
        attach(model, Predictor(8, [0]))


def test_decoders_are_refused():
    small = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    bert = BertLMHeadModel(BertConfig(**small, intermediate_size=8, is_decoder=True))
    gpt = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2))
    for model in (bert, gpt):
        with pytest.raises(SuiteError, match="is a decoder"):
            attach(model, Retention([3]))


def test_static_anatomy_is_unchanged_by_dropping(model):
    before = anatomy_of(copy.deepcopy(model))
    dropping(model, "predictor")
    assert anatomy_of(model) == before


def test_gpt2_is_refused_with_the_reason():
    with pytest.raises(SuiteError, match="missing to every token generated later"):
        attach(GPT2Model(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2)), Retention([3]))
