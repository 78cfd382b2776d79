"""Sizes against published and counted ones."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import FAMILIES, random_decision, tiny_bert
from transformers import BertConfig, BertForQuestionAnswering, BertForSequenceClassification

from vtrans.pruning.counts import Counts
from vtrans.pruning.size import Size, removed
from vtrans.pruning.surgery import materialise
from vtrans.settings import Budget

GMACS = {25.16: 2.149, 39.05: 3.345, 50.97: 4.377, 53.24: 4.574, 64: 5.511, 128: 11.174, 256: 22.951, 512: 48.318}


@pytest.fixture(scope="module")
def bert_base() -> Size:
    with torch.device("meta"):
        model = BertForSequenceClassification(BertConfig(num_labels=2))
    return Size.of(model)


def test_bert_base_parameters(bert_base):
    n = bert_base.dense
    assert bert_base.parameters(n, "encoder") == 85_054_464
    assert bert_base.linear_parameters(n) == 85_017_600
    assert bert_base.parameters(n, "all") == 109_483_778


@pytest.mark.parametrize(("length", "gmacs"), GMACS.items())
def test_bert_base_macs(bert_base, length, gmacs):
    assert float(bert_base.macs(bert_base.dense, length)) / 1e9 == pytest.approx(gmacs, rel=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
@given(seed=st.integers(0, 10_000), log_alpha=st.floats(-3, 3))
def test_closed_form_is_what_surgery_leaves(family, seed, log_alpha):
    model = FAMILIES[family]()
    decision = random_decision(model, seed, log_alpha)
    small, size = materialise(model, decision), Size.of(model)
    assert size.parameters(Counts.of(decision), "all") == sum(p.numel() for p in small.parameters())
    again = Size.of(small)
    for denominator in ("encoder", "all"):
        before = size.parameters(Counts.of(decision), denominator)
        assert before == again.parameters(again.dense, denominator)
        assert size.macs(Counts.of(decision), 17, denominator) == again.macs(again.dense, 17, denominator)


def test_encoder_leaves_out_embeddings_pooler_and_head():
    model = tiny_bert()
    outside = ("embeddings", "pooler", "classifier")
    counted = sum(p.numel() for n, p in model.named_parameters() if not any(word in n for word in outside))
    size = Size.of(model)
    assert size.parameters(size.dense) == counted


def test_token_heads_count_once_a_token():
    with torch.device("meta"):
        model = BertForQuestionAnswering(BertConfig())
    size = Size.of(model)
    extra = size.macs(size.dense, 10, "all") - size.macs(size.dense, 10)
    assert not size.head_per_sequence
    assert extra == 10 * 768 * 2


def test_removed_is_differentiable_and_0_for_dense():
    size = Size.of(tiny_bert())
    hidden = size.dense.hidden.clone().requires_grad_()
    share = removed(Budget(0.5), size, Counts(hidden, *list(size.dense.__dict__.values())[1:]))
    share.backward()
    assert float(share.detach()) == pytest.approx(0, abs=1e-12)
    assert hidden.grad < 0
