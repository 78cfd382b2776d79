"""The divergence by rows is torch's, with its gradient, whatever the size of what is computed at a time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from vtrans.objectives import divergence as module
from vtrans.objectives.divergence import divergence


def written_out(student, teacher, temperature):
    log_p, log_q = ((x.float() / temperature).log_softmax(-1) for x in (teacher, student))
    return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True) * temperature**2


TEMPERATURES = st.sampled_from([0.5, 1.0, 4.0])


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(2, 40), TEMPERATURES, st.integers(1, 90))
@settings(max_examples=60, deadline=None)
def test_value_and_gradient_are_torchs(seed, rows, classes, temperature, at_a_time):
    torch.manual_seed(seed)
    whole, module.ELEMENTS = module.ELEMENTS, at_a_time
    try:
        student, teacher = 3 * torch.randn(rows, classes), 3 * torch.randn(rows, classes)
        found, expected = (student.clone().requires_grad_() for _ in range(2))
        loss, plain = divergence(found, teacher, temperature), written_out(expected, teacher, temperature)
        (2.5 * loss).backward()
        (2.5 * plain).backward()
    finally:
        module.ELEMENTS = whole
    torch.testing.assert_close(loss, plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.grad, expected.grad, atol=1e-6, rtol=1e-5)


def test_logits_of_padding_and_of_half_precision_are_taken():
    student, teacher = torch.randn(3, 5), torch.randn(3, 5)
    for logits in (student, teacher):
        logits[:, -1] = -1e4
    torch.testing.assert_close(divergence(student, teacher, 2.0), written_out(student, teacher, 2.0))
    half = student[:, :4].bfloat16().requires_grad_()
    loss = divergence(half, teacher[:, :4].bfloat16(), 2.0)
    loss.backward()
    assert loss.dtype == torch.float32 and half.grad.dtype == torch.bfloat16
    exact = half.detach().float().requires_grad_()
    written_out(exact, teacher[:, :4].bfloat16(), 2.0).backward()
    torch.testing.assert_close(half.grad.float(), exact.grad, atol=1e-3, rtol=2e-2)


def test_equal_logits_and_no_rows_give_nothing():
    logits = torch.randn(4, 6, requires_grad=True)
    loss = divergence(logits, logits.detach(), 1.0)
    loss.backward()
    assert float(loss) == pytest.approx(0, abs=1e-6) and float(logits.grad.abs().max()) == pytest.approx(0, abs=1e-6)
    assert float(divergence(logits[:0], logits[:0].detach(), 1.0)) == 0
