"""Dropout on a CPU at a tenth of the price.

torch draws one number per element, from one thread, by the Mersenne Twister. That took a fifth of a fine-tuning step of
MiniLM-L6, and a third of a recovery step of the model pruned to 5 %. Here a generator of numpy, seeded anew from
torch's in each call, draws 64 bits for four elements. The probability is thereby rounded to a multiple of 2^-16.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

ATTENTION = "vtrans_dropout"
LEVELS = 2**16  # that 16 bits tell apart


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        """Multiply by 0, or by what makes up for it."""
        scale = draw(x.shape, p, x.dtype).mul_(1 / (1 - rounded(p)))
        ctx.save_for_backward(scale)
        return x * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The same for the gradient."""
        return gradients[0] * ctx.saved_tensors[0], None


def rounded(p: float) -> float:
    """The probability that an element is dropped with, for a wanted one."""
    return round(p * LEVELS) / LEVELS


def draw(shape: torch.Size, p: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """1 where an element stays, with probability `1 - rounded(p)`, else 0; by a seed from torch's generator."""
    count = shape.numel()
    words = np.random.SFC64(int(torch.randint(2**62, ()))).random_raw(-(-count // 4))
    bits = torch.from_numpy(words.view(np.int16))[:count].view(shape)
    return torch.ge(bits, round(p * LEVELS) - LEVELS // 2, out=torch.empty(shape, dtype=dtype))


def dropout(x: Tensor, p: float) -> Tensor:
    """`x` with each element dropped with probability `p`, those that stay scaled so that the mean stays.

    Args:
        x: of any shape, on the CPU.
        p: in [0, 1]; rounded to a multiple of 2^-16.
    """
    if rounded(p) == 1:
        return x * 0
    found: Tensor = _Dropout.apply(x, p)  # type: ignore[no-untyped-call]
    return found


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention in the signature of transformers' `AttentionInterface`; without dropout, that of SDPA.

    Args:
        module: the attention module.
        query, key, value: `(batch, heads, length, head size)`; fewer heads of keys and values where they are grouped.
        attention_mask: bool, True where a key may be seen; None for all, or for those before a query of a decoder.
        dropout: of the probabilities.
        scaling: of the scores.
        **kwargs: what transformers passes besides.
    """
    causal = attention_mask is None and kwargs.get("is_causal", getattr(module, "is_causal", False))
    if not dropout or causal or query.shape[1] != key.shape[1]:
        plain: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return plain
    with torch.autocast(query.device.type, enabled=False):
        scores = query @ key.transpose(-1, -2) * (scaling or query.shape[-1] ** -0.5)
        if attention_mask is not None:
            scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
        context = _dropped(scores.softmax(-1), dropout) @ value
    return context.transpose(1, 2).contiguous(), None


_dropped = dropout  # which the argument of `attention` hides


@contextmanager
def cheap_dropout(model: nn.Module) -> Iterator[None]:
    """Let the dropout of a model in training, of its attention too, be this one inside the context.

    On other devices nothing changes. Attention changes only where the model uses SDPA.
    """
    if next(model.parameters()).device.type != "cpu":
        yield
        return
    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, nn.Dropout) and module.p:
                module.forward = _forward(module)  # type: ignore[method-assign, assignment]
                stack.callback(module.__dict__.pop, "forward")
        config = cast("Any", model).config  # a plain dict of a sharded engine's
        if getattr(config, "_attn_implementation", "") == "sdpa":
            config._attn_implementation = ATTENTION
            stack.callback(setattr, config, "_attn_implementation", "sdpa")
        yield


def _forward(module: nn.Dropout) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        """In training, drop."""
        return dropout(x, module.p) if module.training else x

    return forward


AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
