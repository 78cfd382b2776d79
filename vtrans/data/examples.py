"""Tokenised data, and batches of it that depend on the seed alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, cast

import torch
from torch import Tensor

from vtrans.data.ragged import Ragged
from vtrans.errors import SuiteError

POOL = 50  # batches that are sorted by length together
MULTIPLE = 8  # tokens; see `padded_width`
TEACHER_PREFIX = "teacher_"  # start of the names of a teacher's outputs
LABELS = ("labels", "start_positions", "end_positions")


class Rows(Protocol):
    """Whatever gives batches of training rows."""

    def __len__(self) -> int: ...

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        ...

    def batch(self, rows: Sequence[int], length: int = 0) -> dict[str, Tensor]:
        """Model inputs `(rows, longest)` of the given rows, padded to the longest or to `length`."""
        ...

    @property
    def repeats(self) -> bool:
        """Whether a row has the same inputs each time it is drawn."""
        ...

    def count(self, rows: Sequence[int]) -> int:
        """How many things a loss is the mean over, of a batch of the given rows."""
        ...


@dataclass(frozen=True)
class Examples:
    """Tokenised sequences and their labels.

    Attributes:
        ids: token ids of each sequence, unpadded; kept flat, see `Ragged`.
        types: token type ids likewise; empty for models that read none.
        labels: `(rows,)`, int64 classes or float32 scores.
        pad: id of the padding token.
    """

    ids: Sequence[Sequence[int]]
    types: Sequence[Sequence[int]]
    labels: Tensor
    pad: int

    def __post_init__(self) -> None:
        for name in ("ids", "types"):
            object.__setattr__(self, name, Ragged.of(getattr(self, name)))

    def __len__(self) -> int:
        return len(self.ids)

    def count(self, rows: Sequence[int]) -> int:
        """The rows: a loss is their mean."""
        return len(rows)

    @property
    def repeats(self) -> bool:
        """Whether a row has the same inputs each time it is drawn."""
        return True

    @property
    def tokens(self) -> Ragged:
        """The token ids, flat."""
        return cast("Ragged", self.ids)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each sequence."""
        found: list[int] = self.tokens.lengths.tolist()
        return found

    def take(self, rows: Sequence[int]) -> "Examples":
        """The given rows, in the given order."""
        types = cast("Ragged", self.types).take(rows) if self.types else ()
        return Examples(self.tokens.take(rows), types, self.labels[torch.as_tensor(rows, dtype=torch.long)], self.pad)

    def batch(self, rows: Sequence[int], length: int = 0) -> dict[str, Tensor]:
        """Model inputs `(rows, longest)` of the given rows, padded to the longest or to `length`."""
        width = max(length, int(self.tokens.lengths_of(rows).max()))
        typed = {"token_type_ids": cast("Ragged", self.types).padded(rows, width)} if self.types else {}
        return {
            "input_ids": self.tokens.padded(rows, width, self.pad),
            **typed,
            "attention_mask": self.tokens.mask(rows, width),
            "labels": self.labels[torch.as_tensor(rows, dtype=torch.long)],
        }


def unlabelled(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """A batch without what is to be predicted."""
    return {name: tensor for name, tensor in inputs_of(batch).items() if name not in LABELS}


def inputs_of(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """A batch without the outputs of a teacher that it carries."""
    return {name: tensor for name, tensor in batch.items() if not name.startswith(TEACHER_PREFIX)}


class Batches:
    """Rows of each training step: shuffled, grouped by length within pools, the same for the same seed."""

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self.lengths, self.batch, self.seed = list(lengths), batch, seed
        self.per_epoch = -(-len(self.lengths) // batch)
        self._epoch = lru_cache(maxsize=2)(self._plan)

    def __getitem__(self, step: int) -> list[int]:
        """Rows of step `step`, any step from 0 up."""
        return self._epoch(step // self.per_epoch)[step % self.per_epoch]

    def rows(self, total: int) -> list[int]:
        """All rows that `total` steps draw, ascending, each once."""
        if total >= self.per_epoch:
            return list(range(len(self.lengths)))
        return sorted(row for step in range(total) for row in self[step])

    def _plan(self, epoch: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 100_003 + epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        pools = [order[i : i + POOL * self.batch] for i in range(0, len(order), POOL * self.batch)]
        rows = [row for pool in pools for row in sorted(pool, key=self.lengths.__getitem__)]
        batches = [rows[i : i + self.batch] for i in range(0, len(rows), self.batch)]
        return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def padded_width(lengths: Sequence[int], limit: int) -> int:
    """Tokens that a training batch is padded to: the longest row's, rounded up to a multiple of 8, at most `limit`.

    oneDNN compiles a kernel for every shape. With layers of uneven widths, as compressed models have, and batches of
    every length, steps in bf16 spent half of their time on that.
    """
    return min(-(-max(lengths) // MULTIPLE) * MULTIPLE, limit)


def stratified_rows(labels: Tensor, fraction: float, seed: int) -> list[int]:
    """Rows of a random subset with the class shares of the whole; scores are drawn as one stratum.

    Args:
        labels: `(rows,)`.
        fraction: share of the rows, in (0, 1].
        seed: of the draw.

    Raises:
        SuiteError: the fraction is outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise SuiteError(f"data fraction {fraction} is outside (0, 1]", "give a share such as 0.03")
    generator = torch.Generator().manual_seed(seed)
    scores = labels.is_floating_point()
    strata = [torch.ones_like(labels, dtype=torch.bool)] if scores else [labels == c for c in labels.unique()]
    chosen: list[int] = []
    for stratum in strata:
        rows = stratum.nonzero().flatten()
        picked = torch.randperm(len(rows), generator=generator)[: max(1, round(fraction * len(rows)))]
        chosen += rows[picked].tolist()
    return sorted(chosen)
