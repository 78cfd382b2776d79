"""fvcore against the closed form, on dense and pruned models, eager and SDPA."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_bert
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from benchmark.flops import MacCurve, count_macs, refuse_uncounted
from vtrans.anatomy import anatomy_of
from vtrans.errors import SuiteError
from vtrans.gates import GateSet, VariationalGate
from vtrans.size import Size
from vtrans.surgery import materialise


def closed_form(model: nn.Module, length: int) -> float:
    size = Size.of(model)
    return float(size.macs(size.dense, length, "all"))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@given(seed=st.integers(0, 1000), length=st.integers(1, 40))
def test_fvcore_equals_the_closed_form(attention, seed, length):
    model = tiny_bert(attention)
    torch.manual_seed(seed)
    decision = GateSet(anatomy_of(model), lambda site, n: VariationalGate(n, 0.5, jitter=2.0)).decide()
    for each in (model, materialise(model, decision)):
        assert count_macs(each, length) == pytest.approx(closed_form(each, length), rel=1e-3)


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
