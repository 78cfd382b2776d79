"""Tokens of a batch laid end to end, without padding: what a model that drops tokens runs on."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class PackedTokens:
    """Where each of `n` tokens belongs.

    Attributes:
        sample: sequence of each token, ascending, `(n,)`.
        place: its position in the padded input, ascending within a sequence, `(n,)`.
        lengths: tokens of each sequence, `(batch,)`; at least 1.
    """

    sample: Tensor
    place: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, valid: Tensor) -> "PackedTokens":
        """The real tokens of a padded batch, bool `(batch, length)`."""
        sample, place = valid.nonzero(as_tuple=True)
        return cls(sample, place, valid.sum(1))

    def take(self, chosen: Tensor) -> "PackedTokens":
        """The chosen tokens, bool `(n,)`."""
        sample = self.sample[chosen]
        return PackedTokens(sample, self.place[chosen], torch.bincount(sample, minlength=len(self.lengths)))

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """Tokens of the shortest and of the longest sequence."""
        shortest, longest = self.lengths.aminmax()
        return int(shortest), int(longest)

    @cached_property
    def starts(self) -> Tensor:
        """Index of the first token of each sequence, `(batch,)`."""
        return self.lengths.cumsum(0) - self.lengths

    @cached_property
    def slot(self) -> Tensor:
        """Position of each token among those of its sequence, `(n,)`."""
        return torch.arange(len(self.sample), device=self.sample.device) - self.starts[self.sample]

    @cached_property
    def first(self) -> Tensor:
        """Whether a token is the first of its sequence, bool `(n,)`."""
        return self.slot == 0

    @cached_property
    def mask(self) -> Tensor | None:
        """Keys that are tokens, bool `(batch, 1, 1, longest)`; None where all sequences are as long."""
        shortest, longest = self.bounds
        if shortest == longest:
            return None
        return (torch.arange(longest, device=self.lengths.device) < self.lengths[:, None])[:, None, None, :]

    def pad(self, values: Tensor) -> Tensor:
        """`(n, ...)` to `(batch, longest, ...)`, 0 on padding."""
        shape = (len(self.lengths), self.bounds[1], *values.shape[1:])
        if self.mask is None:
            return values.view(shape)
        return values.new_zeros(shape).index_put((self.sample, self.slot), values)

    def unpad(self, values: Tensor) -> Tensor:
        """`(batch, longest, ...)` to `(n, ...)`."""
        return values.flatten(0, 1) if self.mask is None else values[self.sample, self.slot]
