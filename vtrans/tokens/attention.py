"""The attention function of token-dropping models: SDPA on packed tokens, or a softmax that masks keys softly."""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from vtrans.tokens.packed import PackedTokens

NAME = "vtrans_tokens"
Fidelity = Literal["corrected", "official"]
Significance = Literal["others", "mean"]
_LARGEST = 30.0  # bound on the exponent of dropped keys, which only gradients see


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    packed: PackedTokens | None = None,
    token_keep: Tensor | None = None,
    fidelity: Fidelity = "corrected",
    significance: Significance | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention in the signature of transformers' `AttentionInterface`.

    Args:
        module: the attention module.
        query, key, value: `(batch, heads, length, head size)`, or `(1, heads, n, head size)` of packed tokens.
        attention_mask: bool `(batch, 1, 1, length)`, True where a key may be seen; None for all.
        dropout: of the probabilities.
        scaling: of the scores.
        packed: where packed tokens belong; only here are they padded, to the longest of the batch.
        token_keep: `(batch, length)` in [0, 1], differentiable; 0 takes a key out of the softmax.
        fidelity: `official` multiplies the probabilities by `token_keep` and leaves them unnormalised.
        significance: which significance of each key to return, as of `significance_of`; None for none.
        **kwargs: what transformers passes besides.

    Returns:
        Context `(batch, length, heads, head size)`, and the significance `(batch, length)` or None; packed
        ones `(1, n, heads, head size)` and `(n,)`.
    """
    if packed is not None:
        query, key, value = (packed.pad(x[0].transpose(0, 1)).transpose(1, 2) for x in (query, key, value))
        attention_mask = packed.mask
    if token_keep is None and significance is None:
        context = F.scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, dropout_p=dropout, scale=scaling
        )
        seen = None
    else:
        scores = (query @ key.transpose(-1, -2) * (scaling or query.shape[-1] ** -0.5)).float()
        probabilities = masked_softmax(scores, attention_mask, token_keep, fidelity)
        present = _present(attention_mask, token_keep)
        seen = None if significance is None else significance_of(probabilities, present, significance)
        context = F.dropout(probabilities, dropout).to(value.dtype) @ value
    context = context.transpose(1, 2)
    if packed is None:
        return context, seen
    return packed.unpad(context)[None], None if seen is None else packed.unpad(seen)


def masked_softmax(
    scores: Tensor, mask: Tensor | None, keep: Tensor | None, fidelity: Fidelity = "corrected"
) -> Tensor:
    """Softmax over the keys that are real and kept: in value that of scores at -inf elsewhere.

    A kept share of 0 leaves a gradient, that of letting the key in again, which -inf would not.

    Args:
        scores: `(batch, heads, queries, keys)`.
        mask: bool, broadcast to the scores.
        keep: `(batch, keys)`.
        fidelity: see `attention`.
    """
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    if keep is None:
        return scores.softmax(-1)
    share = keep[:, None, None, :].to(scores.dtype)
    if fidelity == "official":
        return scores.softmax(-1) * share
    top = scores.detach().masked_fill(share == 0, float("-inf")).amax(-1, keepdim=True)
    weights = (scores - top).clamp(max=_LARGEST).exp() * share
    return weights / weights.sum(-1, keepdim=True)


def _present(mask: Tensor | None, keep: Tensor | None) -> Tensor | None:
    real = None if mask is None else mask[:, 0, 0]
    if keep is None:
        return real
    return keep > 0 if real is None else real & (keep > 0)


def significance_of(probabilities: Tensor, present: Tensor | None, kind: Significance = "others") -> Tensor:
    """Attention that each token gets from present ones, mean over heads, `(batch, keys)`, detached.

    `others` sums over all but the token itself (PoWER-BERT), `mean` is the mean over all of them (LTP, section 3.2; its
    code divides by the padded length, tokens gone included, so that scores depend on padding).
    """
    mean = probabilities.detach().mean(1)
    if present is not None:
        mean = mean * present.unsqueeze(-1)
    if kind == "others":
        return mean.sum(1) - mean.diagonal(dim1=1, dim2=2)
    return mean.sum(1) / (mean.shape[1] if present is None else present.sum(1, keepdim=True))


def real_tokens(mask: Tensor | None, hidden: Tensor) -> Tensor:
    """True for real tokens, bool `(batch, length)`, from the mask that transformers gives an encoder's layers."""
    if mask is None:
        return torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
    if mask.ndim == 4:
        mask = mask[:, 0, 0]
    return mask if mask.dtype == torch.bool else mask > -1


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
