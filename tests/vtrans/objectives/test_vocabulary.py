"""Losses by rows are torch's, with their gradients, whatever the size of what is computed at a time."""

from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from transformers.loss.loss_utils import ForCausalLMLoss

from vtrans.data.windows import IGNORED
from vtrans.objectives import vocabulary as module
from vtrans.objectives.vocabulary import divergence, next_token_loss, surprisal


@contextmanager
def at_once(elements):
    whole, module.ELEMENTS = module.ELEMENTS, elements
    try:
        yield
    finally:
        module.ELEMENTS = whole


def written_out(student, teacher, temperature):
    log_p, log_q = ((x.float() / temperature).log_softmax(-1) for x in (teacher, student))
    return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True) * temperature**2


TEMPERATURES = st.sampled_from([0.5, 1.0, 4.0])


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(2, 40), TEMPERATURES, st.integers(1, 90))
@settings(max_examples=60, deadline=None)
def test_value_and_gradient_are_torchs(seed, rows, classes, temperature, at_a_time):
    torch.manual_seed(seed)
    student, teacher = 3 * torch.randn(rows, classes), 3 * torch.randn(rows, classes)
    found, expected = (student.clone().requires_grad_() for _ in range(2))
    with at_once(at_a_time):
        loss, plain = divergence(found, teacher, temperature), written_out(expected, teacher, temperature)
        (2.5 * loss).backward()
        (2.5 * plain).backward()
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


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(2, 6), st.integers(2, 20), st.integers(1, 90))
@settings(max_examples=60, deadline=None)
def test_rows_that_do_not_count_are_as_if_left_out(seed, batch, length, classes, at_a_time):
    torch.manual_seed(seed)
    student, teacher = torch.randn(batch, length, classes), torch.randn(batch, length, classes)
    counted = torch.rand(batch, length) < 0.6
    found, picked = (student.clone().requires_grad_() for _ in range(2))
    with at_once(at_a_time):
        loss, apart = divergence(found, teacher, 2.0, counted), divergence(picked[counted], teacher[counted], 2.0)
        (loss + apart).backward()
    torch.testing.assert_close(loss, apart)
    torch.testing.assert_close(found.grad, picked.grad)
    assert not found.grad[~counted].any()


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(2, 6), st.integers(2, 20), st.integers(1, 90))
@settings(max_examples=60, deadline=None)
def test_the_next_token_is_scored_as_transformers_does(seed, batch, length, classes, at_a_time):
    torch.manual_seed(seed)
    logits, labels = 3 * torch.randn(batch, length, classes), torch.randint(classes, (batch, length))
    labels[torch.rand(batch, length) < 0.3] = IGNORED
    labels[0, 1] = 0  # transformers divides by their number
    found, expected = (logits.clone().requires_grad_() for _ in range(2))
    with at_once(at_a_time):
        loss, theirs = next_token_loss(found, labels), ForCausalLMLoss(expected, labels, classes)
        (2.5 * loss).backward()
        (2.5 * theirs).backward()
        each = surprisal(logits, module.following(labels))
    torch.testing.assert_close(loss, theirs)
    torch.testing.assert_close(found.grad, expected.grad)
    assert float(each.sum()) == pytest.approx(float(loss) * int((labels[:, 1:] != IGNORED).sum()), rel=1e-5)


def test_no_token_to_predict_gives_nothing():
    logits = torch.randn(1, 3, 5, requires_grad=True)
    loss = next_token_loss(logits, torch.full((1, 3), IGNORED))
    loss.backward()
    assert float(loss) == 0 and not logits.grad.any()
