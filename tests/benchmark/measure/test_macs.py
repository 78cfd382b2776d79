"""fvcore against the closed form, on dense and pruned models, eager and SDPA."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import FAMILIES, dropping, random_decision, tiny_bert, tiny_bert_mlm, tiny_examples, tiny_roberta_mlm
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from benchmark.measure.macs import MacCurve, count_macs, count_macs_of, refuse_uncounted
from benchmark.measure.predict import predict
from benchmark.measure.token_macs import check_closed_form, dynamic_regimes, longest_of_batch
from vtrans.anatomy import anatomy_of
from vtrans.errors import SuiteError
from vtrans.pruning.gates import GateSet, VariationalGate
from vtrans.pruning.size import Size
from vtrans.pruning.surgery import materialise
from vtrans.tokens import token_pruning_encoder
from vtrans.tokens.macs import LayerMacs


def closed_form(model: nn.Module, length: int) -> float:
    size = Size.of(model)
    return float(size.macs(size.dense, length, "all"))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=3)  # fvcore traces each model anew
@given(seed=st.integers(0, 1000), length=st.integers(1, 40))
def test_fvcore_equals_the_closed_form(family, attention, seed, length):
    model = FAMILIES[family](attention)
    torch.manual_seed(seed)
    decision = GateSet(anatomy_of(model), lambda site, n: VariationalGate(n, 0.5, jitter=2.0)).decide()
    for each in (model, materialise(model, decision)):
        rotary = 8 * length  # at most: older transformers compute the angles by a product
        assert count_macs(each, length) == pytest.approx(closed_form(each, length), rel=1e-3, abs=rotary)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_bert_base_at_128(attention):
    model = BertForSequenceClassification(BertConfig(attn_implementation=attention))
    pooler_and_head = 768 * 768 + 768 * 2
    assert count_macs(model, 128) - pooler_and_head == pytest.approx(11.174e9, rel=1e-3)


def test_curve_is_exact():
    model = tiny_bert()
    curve = MacCurve.of(model)
    for length in (1, 7, 33):
        assert curve(length) == pytest.approx(count_macs(model, length), rel=1e-9)


def test_batch_counts_each_sequence():
    assert count_macs(tiny_bert(), 8, batch=3) == 3 * count_macs(tiny_bert(), 8)


def test_regimes():
    lengths = [3] * 31 + [9] + [4, 6]
    means = MacCurve(0, 1, 0).regimes(lengths, fixed=5)
    assert means["unpadded"] == pytest.approx((93 + 9 + 10) / 34)
    assert means["batch"] == pytest.approx((32 * 9 + 2 * 6) / 34)
    assert means["sequence"] == pytest.approx((31 * 5 + 9 + 5 + 6) / 34)


def test_an_uncounted_product_is_an_error():
    with pytest.raises(SuiteError, match="aten::baddbmm"):
        refuse_uncounted({"aten::baddbmm": 1, "aten::relu": 3})
    refuse_uncounted({"aten::relu": 3})


@pytest.mark.parametrize("kind", ["predictor", "retention", "threshold"])
@settings(max_examples=4)
@given(seed=st.integers(0, 1000), static=st.booleans())
def test_gathered_run_equals_the_closed_form_of_its_lengths(kind, seed, static):
    model = tiny_bert()
    if static:
        model = materialise(model, random_decision(model, seed, 0.5))
    model, examples = dropping(model, kind, seed), tiny_examples(4, seed)
    lengths = predict(model, examples).lengths
    for row in range(2):
        check_closed_form(model, examples, row)
    counted = count_macs_of(model, torch.tensor([examples.ids[0]]), torch.tensor([examples.types[0]]))
    closed = LayerMacs.of(model)(lengths[:1], lengths[:1, :, 1], np.array([len(examples.ids[0])]))
    assert counted == pytest.approx(closed[0], rel=1e-3)


def test_a_model_that_drops_nothing_costs_what_the_curve_says():
    model, examples = tiny_bert(), tiny_examples(40)
    curve, lengths = MacCurve.of(model), np.array(examples.lengths)
    every = np.repeat(lengths[:, None, None], 3, 1).repeat(3, 2)
    want = curve.regimes(examples.lengths, 8)
    got = dynamic_regimes(model, every, examples.lengths)
    assert got["unpadded"] == pytest.approx(want["unpadded"], rel=1e-6)
    assert got["unpadded"] < got["batch"] == got["sequence"] < want["batch"]  # only the scores are padded


@pytest.mark.parametrize("make", [tiny_bert_mlm, tiny_roberta_mlm])
def test_a_head_for_every_token_is_counted_whole(make):
    size, length = Size.of(model := make()), 7
    closed = LayerMacs.of(model)(np.full((1, 3, 3), length), np.full((1, 3), length), np.array([length]))
    assert closed[0] == pytest.approx(float(size.macs(size.dense, length, "all")), rel=1e-6)


def test_widths_are_those_of_the_longest_of_32():
    lengths = np.arange(40).reshape(40, 1, 1)
    assert longest_of_batch(lengths)[:, 0, 0].tolist() == [31] * 32 + [39] * 8


def test_closed_form_is_checked(monkeypatch):
    model, examples = dropping(tiny_bert(), "predictor", 0), tiny_examples(4)
    monkeypatch.setattr(
        "benchmark.measure.token_macs.count_macs_of", lambda *inputs: 10 + count_macs_of(*inputs) * 1.01
    )
    with pytest.raises(SuiteError, match="fvcore counts"):
        check_closed_form(model, examples)


def test_stochastic_decisions_can_be_counted():
    model, examples = dropping(tiny_bert(), "predictor", 0), tiny_examples(20)
    token_pruning_encoder(model).selector.stochastic = True
    for row in range(0, 20, 3):
        check_closed_form(model, examples, row)
