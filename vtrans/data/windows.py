"""Running text as training and evaluation data of a language model: windows of a fixed number of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vtrans.data.examples import Examples
from vtrans.errors import SuiteError

IGNORED = -100  # label of a token that is not scored


@dataclass(frozen=True)
class Windows(Examples):
    """Windows of a text. `labels` are zeros, one per window: there is one class.

    Attributes:
        context: tokens at the head of each window that are there to be read and not to be predicted.
        bytes_per_token: UTF-8 bytes of the text over its tokens.
    """

    context: Sequence[int] = ()
    bytes_per_token: float = 1.0

    @classmethod
    def of(cls, ids: Sequence[int], size: int, pad: int, stride: int = 0, text_bytes: int = 0) -> "Windows":
        """Cut `ids` into windows of `size` tokens, each `stride` after the one before; a shorter one ends the text.

        With the stride of `size`, the default, windows do not overlap and each predicts all its tokens but the
        first. With a smaller one, the first window does so, and each after it predicts its last `stride` tokens from
        at least `size - stride` before. A last window with nothing to predict is left out.

        Args:
            ids: of the text.
            size: tokens of a window.
            pad: id of the padding token.
            stride: tokens from the start of one window to the next; 0 for `size`.
            text_bytes: UTF-8 bytes of the text; 0 where unknown, which counts one per token.

        Raises:
            SuiteError: the text is shorter than one window, or the stride is not in [1, size].
        """
        if len(ids) < size:
            raise SuiteError(f"the text has {len(ids)} tokens, one window {size}", "give a longer text")
        stride = stride or size
        if not 1 <= stride <= size:
            raise SuiteError(f"stride {stride} is not from 1 to the window of {size} tokens", "give a smaller stride")
        starts = range(0, max(1, len(ids) - size + stride), stride)
        parts = [ids[start : start + size] for start in starts]
        context = [0] + [size - stride] * (len(parts) - 1)
        if len(parts[-1]) <= max(1, context[-1]):  # nothing to be predicted in it
            parts, context = parts[:-1], context[:-1]
        labels, density = torch.zeros(len(parts), dtype=torch.long), (text_bytes or len(ids)) / len(ids)
        types = [0] * size
        return cls(parts, [types[: len(p)] if len(p) < size else types for p in parts], labels, pad, context, density)

    @property
    def scored(self) -> int:
        """Tokens that are predicted: all but each window's context, and the first, which has nothing before it."""
        return self.count(range(len(self)))

    def count(self, rows: Sequence[int]) -> int:
        """Tokens that are predicted in the given windows."""
        return sum(len(self.ids[r]) - max(1, self.context[r]) for r in rows)

    def take(self, rows: Sequence[int]) -> "Windows":
        """The given windows, in the given order."""
        part = super().take(rows)
        context = [self.context[r] for r in rows]
        return Windows(part.ids, part.types, part.labels, self.pad, context, self.bytes_per_token)

    def strided(self, stride: int) -> "Windows":
        """The text of these windows, which do not overlap, in windows of the same size, `stride` tokens apart."""
        ids = [token for part in self.ids for token in part]
        return Windows.of(ids, max(self.lengths), self.pad, stride, round(self.bytes_per_token * len(ids)))

    def batch(self, rows: Sequence[int], length: int = 0) -> dict[str, Tensor]:
        """Inputs `(rows, longest)`; the labels are the ids themselves, `IGNORED` where nothing is to be predicted."""
        inputs = super().batch(rows, length)
        labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, IGNORED)
        for i, r in enumerate(rows):
            labels[i, : self.context[r]] = IGNORED
        return {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"], "labels": labels}
