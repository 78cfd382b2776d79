"""Sequences of different lengths in one flat array: four bytes per token, where a list of lists takes forty."""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import overload

import numpy as np
import torch
from torch import Tensor

from vtrans.errors import SuiteError


class Ragged(Sequence[list[int]]):
    """Read-only sequences of whole numbers, laid end to end.

    Args:
        values: all of them, `(numbers,)`.
        offsets: where each sequence starts, and where the last one ends, `(sequences + 1,)`.
    """

    def __init__(self, values: np.ndarray, offsets: np.ndarray) -> None:
        self.values, self.offsets = values, offsets

    @classmethod
    def of(cls, sequences: Iterable[Sequence[int]]) -> "Ragged":
        """Copy some sequences; those that are flat already are taken as they are.

        Raises:
            SuiteError: a number takes more than four bytes.
        """
        if isinstance(sequences, Ragged):
            return sequences
        held = sequences if isinstance(sequences, Sequence) else list(sequences)
        lengths = np.fromiter((len(each) for each in held), dtype=np.int64, count=len(held))
        offsets = np.concatenate([np.zeros(1, np.int64), lengths.cumsum()])
        try:
            values = np.fromiter(chain.from_iterable(held), dtype=np.int32, count=int(offsets[-1]))
        except OverflowError:
            raise SuiteError("a token id is larger than 2,147,483,647", "check the rows' input_ids") from None
        return cls(_narrow(values), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, row: int) -> list[int]: ...
    @overload
    def __getitem__(self, row: slice) -> "Ragged": ...
    def __getitem__(self, row: int | slice) -> "list[int] | Ragged":
        """One sequence, as a list, or several."""
        if isinstance(row, slice):
            return self.take(range(*row.indices(len(self))))
        row = range(len(self))[row]  # which knows negative ones, and those that are out of range
        found: list[int] = self.values[self.offsets[row] : self.offsets[row + 1]].tolist()
        return found

    def __eq__(self, other: object) -> bool:
        """Whether the other one holds the same sequences."""
        if not isinstance(other, Ragged):
            return NotImplemented
        return np.array_equal(self.offsets, other.offsets) and np.array_equal(self.values, other.values)

    __hash__ = None  # type: ignore[assignment]

    @property
    def digest(self) -> str:
        """sha256 of the sequences."""
        whole = (self.values.astype(np.int32), self.offsets.astype(np.int64))
        return hashlib.sha256(b"".join(array.tobytes() for array in whole)).hexdigest()

    @property
    def lengths(self) -> np.ndarray:
        """Numbers in each sequence, `(sequences,)`."""
        return np.diff(self.offsets)

    def lengths_of(self, rows: Sequence[int]) -> np.ndarray:
        """Numbers in each of the given sequences."""
        chosen = np.asarray(rows, dtype=np.int64)
        found: np.ndarray = self.offsets[chosen + 1] - self.offsets[chosen]
        return found

    def take(self, rows: Sequence[int]) -> "Ragged":
        """The given sequences, in the given order."""
        chosen, lengths = np.asarray(rows, dtype=np.int64), self.lengths_of(rows)
        offsets = np.concatenate([np.zeros(1, np.int64), lengths.cumsum()])
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[chosen] - offsets[:-1], lengths)
        return Ragged(self.values[places], offsets)

    def padded(self, rows: Sequence[int], width: int, fill: int = 0) -> Tensor:
        """The given sequences as one int64 tensor `(rows, width)`, `fill` behind their ends."""
        found = np.full((len(rows), width), fill, dtype=np.int64)
        found[np.arange(width) < self.lengths_of(rows)[:, None]] = self.take(rows).values
        return torch.from_numpy(found)

    def mask(self, rows: Sequence[int], width: int) -> Tensor:
        """1 where the given sequences have a number, 0 behind their ends, int64 `(rows, width)`."""
        return torch.from_numpy((np.arange(width) < self.lengths_of(rows)[:, None]).astype(np.int64))


def _narrow(values: np.ndarray) -> np.ndarray:
    """The same numbers in one byte each where that holds them, as it does token types."""
    small = not len(values) or (values.min() >= 0 and values.max() < 128)
    return values.astype(np.int8) if small else values
