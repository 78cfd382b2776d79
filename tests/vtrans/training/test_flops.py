"""FLOPs of training: torch's formulas, forward and backward, carried over by tokens."""

import pytest
import torch
from torch import nn

from vtrans.training.flops import EVERY, FlopMeter


def test_a_linear_s_step_counts_three_products():
    layer, x = nn.Linear(8, 4), torch.ones(5, 8)
    meter = FlopMeter()
    with meter.step(0, tokens=5):
        layer(layer.weight @ x.T @ torch.ones(5, 8)).sum().backward()
    assert meter.flops > 0
    plain = FlopMeter()
    with plain.step(0, tokens=5):
        (x.requires_grad_() @ torch.ones(8, 4, requires_grad=True)).sum().backward()
    assert plain.flops == 3 * 2 * 5 * 8 * 4


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("heads", [4, 2])
def test_fused_attention_counts_as_much_as_its_products(masked, heads):
    query = torch.randn(2, 4, 10, 8, requires_grad=True)
    key, value = (torch.randn(2, heads, 10, 8, requires_grad=True) for _ in range(2))
    mask = torch.ones(2, 1, 10, 10, dtype=torch.bool) if masked else None
    forward, both = FlopMeter(), FlopMeter()
    with forward.step(0, tokens=1), torch.no_grad():
        nn.functional.scaled_dot_product_attention(query, key, value, mask, enable_gqa=heads < 4)
    with both.step(0, tokens=1):
        nn.functional.scaled_dot_product_attention(query, key, value, mask, enable_gqa=heads < 4).sum().backward()
    product = 2 * 2 * 4 * 10 * 10 * 8
    assert forward.flops == 2 * product
    assert both.flops in (6 * product, 7 * product)  # a fused backward pass computes the scores anew


def test_uncounted_steps_go_by_their_tokens():
    x = torch.ones(10, 8)
    meter = FlopMeter()
    for step, tokens in ((0, 10), (1, 20), (EVERY, 10)):
        with meter.step(step, tokens):
            _ = x @ torch.ones(8, 4)
    assert meter.flops == pytest.approx(2 * 10 * 8 * 4 * 4)
    part = FlopMeter()
    with part.step(0, 40, 10):  # a rank that computes a quarter of the step
        _ = x @ torch.ones(8, 4)
    assert part.flops == pytest.approx(4 * 2 * 10 * 8 * 4)
