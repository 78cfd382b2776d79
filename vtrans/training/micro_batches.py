"""How the rows of an optimiser step are divided: over gradient accumulation, and over ranks."""

from collections.abc import Callable
from dataclasses import dataclass

from vtrans.ranks import Share


@dataclass(frozen=True)
class MicroBatch:
    """Rows of a step that all ranks compute at the same time.

    Attributes:
        all_rows: those of all ranks.
        share: which of them are this rank's.
        weight: of this rank's rows in the mean that is the loss of the step.
    """

    all_rows: list[int]
    share: Share
    weight: float

    @property
    def rows(self) -> list[int]:
        """Rows of this rank."""
        return [self.all_rows[i] for i in self.share.rows]


def micro_batches(
    rows: list[int], accumulate: int, rank: int = 0, world_size: int = 1, count: Callable[[list[int]], int] = len
) -> list[MicroBatch]:
    """What one rank computes in a step, one micro-batch after the other.

    Every rank has as many, because each of them is computed by all ranks together; a rank that has no rows left takes
    the first row with a weight of 0.

    Args:
        rows: of the step.
        accumulate: micro-batches that they are cut into, at most.
        rank, world_size: which rank, of how many.
        count: what the step's loss is the mean over, counted in rows: the rows themselves, or their tokens.
    """
    together = world_size * -(-len(rows) // (world_size * accumulate))
    found = []
    for start in range(0, len(rows), together):
        all_rows = rows[start : start + together]
        own = tuple(range(rank, len(all_rows), world_size))
        weight = count([all_rows[i] for i in own]) / count(rows)
        found.append(MicroBatch(all_rows, Share(len(all_rows), own or (0,)), weight))
    return found
