"""Which heads were kept, and where they look in the dense model: what attention probing compares."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.records.attention import read_attention
from benchmark.records.schema import Record
from benchmark.statistics.correlation import correlation
from benchmark.statistics.intervals import Interval
from vtrans.errors import SuiteError

TARGETS = ("special", "self", "neighbour", "content", "function")
ROUNDING = 1e-9  # what a mean taken from equal numbers leaves


@dataclass(frozen=True)
class Heads:
    """The heads of one run.

    Attributes:
        shares: of their attention in the dense model, `(layers, heads, targets)`.
        kept: which of them the pruned model has, `(layers, heads)`, bool.
    """

    shares: np.ndarray
    kept: np.ndarray


def heads_of(path: Path, record: Record) -> Heads | None:
    """The heads of the record at a path; None where they were not probed, or the record does not say which were kept.

    Raises:
        SuiteError: the shares are damaged or of another run.
    """
    found = read_attention(path, record.key)
    kept = kept_heads(record)
    if found is None or kept is None:
        return None
    layers, heads = len(found.shares), len(found.shares[0])
    if found.targets != TARGETS or layers != len(kept) or max(max(layer, default=0) for layer in kept) >= heads:
        raise SuiteError(f"the shares of {path.name} do not fit it", "remove them, and probe the record again")
    return Heads(np.array(found.shares), mask(kept, heads))


def kept_heads(record: Record) -> list[list[int]] | None:
    """Indices of the heads that each layer keeps; None where the record says nothing of them."""
    found: list[list[int]] | None = (
        record.outcome.report.get("pruning", {}).get("heads_kept") if record.outcome else None
    )
    return found


def mask(kept: Sequence[Sequence[int]], heads: int) -> np.ndarray:
    """`(layers, heads)`, true for the kept ones."""
    return np.array([np.isin(np.arange(heads), list(indices)) for indices in kept])


def association(runs: Sequence[Heads], target: str, inside: bool = True, null: float = 0.0) -> Interval | None:
    """Spearman's rho of a head's share of attention to a target with being kept, mean over runs.

    Args:
        runs: seeds of one row; those that keep all heads, or none, have no rho and are left out.
        target: of `TARGETS`.
        inside: take the mean of its layer from both first. Whole layers look alike and are pruned alike, so that heads
            are only then independent enough for the interval and its `p`.
        null: what the interval's `p` is of.

    Returns:
        None where no run has a rho.
    """
    index = TARGETS.index(target)
    pairs = [(run.shares[..., index], run.kept.astype(float)) for run in runs]
    if inside:
        pairs = [(x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)) for x, y in pairs]
    known = [(x.ravel(), y.ravel()) for x, y in pairs if min(np.ptp(x), np.ptp(y)) > ROUNDING]
    return correlation(known, null) if known else None
