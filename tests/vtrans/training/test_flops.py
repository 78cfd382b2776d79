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
