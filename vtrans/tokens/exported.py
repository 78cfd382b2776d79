"""The gathered pass in a form that can be exported: padded to the longest survivor after each decision, not packed."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from vtrans.tokens.attention import real_tokens
from vtrans.tokens.encoder import PaddedView, TokenPruningEncoder, feed, scaled

LEAST = 2  # slots of a batch: a tracer treats a length of 1 apart from all others


class ExportedEncoder(nn.Module):
    """Stands in the place of a `TokenPruningEncoder` while a model is exported, and shares its layers.

    A graph has no packed attention. After each decision the survivors of each sequence are moved to its front and the
    batch is cut to the longest of them, so that attention and FFN run on that many tokens. Sequences have two tokens or
    more.

    Args:
        encoder: whose layers and selector it runs.
    """

    def __init__(self, encoder: TokenPruningEncoder) -> None:
        super().__init__()
        self.layer, self.selector, self.scatter = encoder.layer, encoder.selector, encoder.scatter

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """States `(batch, length, hidden)` as of `TokenPruningEncoder`."""
        rest = Survivors.of(hidden_states, real_tokens(attention_mask, hidden_states))
        place = self.selector.place
        significance = self.selector.significance if place == "ffn" else None
        for index, module in enumerate(self.layer):
            layer: Any = module
            if place == "layer":
                decision = self.selector(index, rest.hidden, None, CountingView(rest.valid))
                rest = rest.take(decision.keep > 0, self.scatter)
            mask = rest.valid[:, None, None, :]
            hidden, seen = layer.attention(rest.hidden, mask, significance=significance)
            rest, after = rest.of_states(hidden), None
            if seen is not None:
                decision = self.selector(index, hidden, seen, CountingView(rest.valid))
                after = decision.scale_output
                rest = rest.of_states(scaled(hidden, decision.scale))
                rest = rest.take(decision.keep > 0, self.scatter, after)
                after = rest.beside
            rest = rest.of_states(scaled(feed(layer, rest.hidden), after))
        last = rest.scattered() if self.scatter else rest.hidden[:, :1]
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=cast("Any", last))


class CountingView(PaddedView):
    """`Tokens` of a padded batch, ranked without a stable sort, which graphs do not have."""

    def ranks(self, seen: Tensor) -> Tensor:
        """Rank of each token by falling `seen`, `(batch, n)`: how many others come before it."""
        seen = seen.masked_fill(~self.valid, float("-inf")).masked_fill(self.first, float("inf"))
        ours, theirs = seen[:, :, None], seen[:, None, :]
        slots = torch.arange(seen.shape[1], device=seen.device)
        earlier = slots[None, None, :] < slots[None, :, None]
        return ((theirs > ours) | ((theirs == ours) & earlier)).sum(2)


class Survivors:
    """Tokens that are left, the kept ones of each sequence first, in their order.

    Args:
        hidden: their states, `(batch, n, hidden)`.
        valid: which of them are kept, bool `(batch, n)`.
        place: position of each in the input, `(batch, n)`.
        resting: states of all tokens, `(batch, length, hidden)`: those that were dropped have their last one.
        beside: what was moved along, `(batch, n)`.
    """

    def __init__(
        self, hidden: Tensor, valid: Tensor, place: Tensor, resting: Tensor, beside: Tensor | None = None
    ) -> None:
        self.hidden, self.valid, self.place, self.resting, self.beside = hidden, valid, place, resting, beside

    @classmethod
    def of(cls, hidden: Tensor, valid: Tensor) -> "Survivors":
        """All real tokens of a batch."""
        place = torch.arange(hidden.shape[1], device=hidden.device).expand(hidden.shape[:2])
        return cls(hidden, valid, place, hidden)

    def of_states(self, hidden: Tensor) -> "Survivors":
        """The same tokens with other states."""
        return Survivors(hidden, self.valid, self.place, self.resting)

    def take(self, chosen: Tensor, scatter: bool, beside: Tensor | None = None) -> "Survivors":
        """The chosen ones, bool `(batch, n)`, and the padding that the longest of them leaves."""
        keep = chosen & self.valid
        longest = cast("int", keep.sum(1).max().clamp(min=LEAST).item())
        torch._check(longest >= LEAST)
        torch._check(longest <= keep.shape[1])
        slots = torch.arange(keep.shape[1], device=keep.device)
        order = torch.where(keep, -slots, -slots - keep.shape[1]).argsort(1, descending=True)[:, :longest]
        resting = self.scattered() if scatter else self.resting
        hidden = self.hidden.gather(1, order.unsqueeze(-1).expand(-1, -1, self.hidden.shape[-1]))
        moved = None if beside is None else beside.gather(1, order)
        return Survivors(hidden, keep.gather(1, order), self.place.gather(1, order), resting, moved)

    def scattered(self) -> Tensor:
        """States of all tokens, `(batch, length, hidden)`."""
        index = self.place.unsqueeze(-1).expand(-1, -1, self.hidden.shape[-1])
        known = torch.where(self.valid.unsqueeze(-1), self.hidden, self.resting.gather(1, index))
        return self.resting.scatter(1, index, known)
