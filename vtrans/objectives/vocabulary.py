"""Losses over large vocabularies: a few rows at a time, with the gradient as the only tensor that is kept.

Written out, cross-entropy and divergence copy all logits again and again: 200 MB of 1,024 tokens over 49,152 words.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy, pad

from vtrans.data.windows import IGNORED

ELEMENTS = 2**20  # that are computed at a time, so that they stay in the cache


class _Kept(torch.autograd.Function):
    """A mean whose gradient is computed with it."""

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The kept gradient, as often as the mean counts; of the first argument alone."""
        return ctx.saved_tensors[0] * (gradients[0] * ctx.scale), *[None] * (len(ctx.needs_input_grad) - 1)


class _Divergence(_Kept):
    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, counted: Tensor, temperature: float) -> Tensor:
        """The mean, and the gradient with it: softmax(student / T) - softmax(teacher / T), times T over the rows."""
        gradient = torch.empty_like(student)
        total = torch.zeros((), device=student.device)
        for ours, theirs, weight, out in _parts(student, teacher, counted, gradient):
            log_q, log_p = ((logits.float() / temperature).log_softmax(-1) for logits in (ours, theirs))
            p = log_p.exp().mul_(weight[:, None])
            total += (p * log_p.sub_(log_q)).sum()
            out.copy_(log_q.exp_().mul_(weight[:, None]).sub_(p))
        ctx.save_for_backward(gradient)
        ctx.scale = temperature / counted.sum().clamp(min=1)
        found: Tensor = total * temperature * ctx.scale
        return found


class _CrossEntropy(_Kept):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
        """The mean, and the gradient with it: softmax(logits) - one at the label, over the rows."""
        gradient = torch.empty_like(logits)
        total = torch.zeros((), device=logits.device)
        for given, label, weight, out in _parts(logits, labels[:, None], counted, gradient):
            log_p = given.float().log_softmax(-1)
            total -= (log_p.gather(1, label)[:, 0] * weight).sum()
            p = log_p.exp_().mul_(weight[:, None])
            out.copy_(p.scatter_add_(1, label, -weight[:, None]))
        ctx.save_for_backward(gradient)
        ctx.scale = 1 / counted.sum().clamp(min=1)
        found: Tensor = total * ctx.scale
        return found


def _parts(logits: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    rows = max(1, ELEMENTS // max(1, logits.shape[-1]))
    return zip(*(each.split(rows) for each in (logits, *others)), strict=True)


def divergence(student: Tensor, teacher: Tensor, temperature: float, counted: Tensor | None = None) -> Tensor:
    """T^2 KL(teacher || student), mean over the rows that count, 0-d, in fp32; the teacher gets no gradient.

    Args:
        student, teacher: logits `(..., classes)`, finite.
        temperature: T, that both are divided by.
        counted: `(...)`, 0 or False for a row that does not count; all do by default.
    """
    weights = torch.ones(student.shape[:-1], device=student.device) if counted is None else counted.float()
    found: Tensor = _Divergence.apply(  # type: ignore[no-untyped-call]
        *(logits.flatten(0, -2) for logits in (student, teacher)), weights.flatten(), temperature
    )
    return found


def next_token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the token after each, mean over those that are asked for, 0-d, in fp32.

    Args:
        logits: `(batch, length, vocabulary)`.
        labels: `(batch, length)`, the tokens themselves, `IGNORED` where one is not asked for.
    """
    wanted = following(labels).flatten()
    counted = (wanted != IGNORED).float()
    found: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]
        logits.flatten(0, 1), wanted.clamp(min=0), counted
    )
    return found


def following(labels: Tensor) -> Tensor:
    """The label after each, `IGNORED` after the last: labels move, because logits are too large to be copied."""
    return pad(labels[:, 1:], (0, 1), value=IGNORED)


@torch.no_grad()
def surprisal(logits: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood of each label in nats, fp32; 0 where it is `IGNORED`.

    Args:
        logits: `(..., vocabulary)`.
        labels: `(...)`.
    """
    parts = _parts(logits.flatten(0, -2), labels.flatten())
    found = [cross_entropy(each.float(), label, ignore_index=IGNORED, reduction="none") for each, label in parts]
    return torch.cat(found).view(labels.shape)
