"""Hidden states of the tokens that are left, packed to the longest survivor of the batch."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packed:
    """Tokens under way through the layers.

    Attributes:
        hidden: states `(batch, width, hidden)`.
        valid: bool `(batch, width)`: real tokens that are still there.
        lengths: number of them, `(batch,)`.
        full: whether all are valid, so that no mask is needed.
        resting: states of all tokens as they were left, `(batch, length, hidden)`; None where no head reads them.
        places: where each token belongs in them, `(batch, width)`; None likewise.
    """

    hidden: Tensor
    valid: Tensor
    lengths: Tensor
    full: bool
    resting: Tensor | None = None
    places: Tensor | None = None

    @classmethod
    def start(cls, hidden: Tensor, valid: Tensor, scatter: bool) -> "Packed":
        """All real tokens; padding is dropped at once."""
        batch, length = valid.shape
        everything = cls(hidden, torch.ones_like(valid), torch.full((batch,), length, device=valid.device), True)
        if scatter:
            places = torch.arange(length, device=hidden.device).expand(batch, length)
            everything = replace(everything, resting=hidden, places=places)
        return everything.keep(valid)

    @property
    def mask(self) -> Tensor | None:
        """Attention mask `(batch, 1, 1, width)`, None where none is needed."""
        return None if self.full else self.valid[:, None, None, :]

    def keep(self, chosen: Tensor) -> "Packed":
        """Go on with the chosen tokens, bool `(batch, width)`, in their order."""
        valid = chosen if self.full else self.valid & chosen
        lengths = valid.sum(1)
        shortest, width = (int(bound) for bound in lengths.aminmax())
        # To a tracer, a decision that nothing follows would be dead code, and its cost not be counted.
        if width == valid.shape[1] and not torch.jit.is_tracing():
            return replace(self, valid=valid, lengths=lengths, full=shortest == width)
        order = valid.int().argsort(dim=1, descending=True, stable=True)[:, :width]
        return Packed(
            hidden=self.hidden.gather(1, order.unsqueeze(-1).expand(-1, -1, self.hidden.shape[-1])),
            valid=valid.gather(1, order),
            lengths=lengths,
            full=shortest == width,
            resting=self.rested(),
            places=None if self.places is None else self.places.gather(1, order),
        )

    def rested(self) -> Tensor | None:
        """States of all tokens as they are now, in their first places; None where no head reads them."""
        if self.resting is None or self.places is None:
            return None
        index = self.places.unsqueeze(-1).expand_as(self.hidden)
        return self.resting.scatter(1, index, self.hidden.to(self.resting.dtype))

    def step(self, hidden: Tensor) -> "Packed":
        """The same tokens after a sub-layer; a token that was dropped without being packed away rests."""
        if self.resting is not None and not self.full:
            hidden = torch.where(self.valid.unsqueeze(-1), hidden, self.hidden)
        return replace(self, hidden=hidden)
