"""What processes that train one model together tell each other; in one process, all of it is free and changes nothing.

They are started by torchrun or the deepspeed launcher, which numbers them: ranks. All of them go through the same code
in the same order, so that each call here is made by every rank.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from vtrans.errors import RunFailed

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
U = TypeVar("U")
LOST = ("connection closed by peer", "connection reset by peer", "broken pipe", "nccl", "socket", "timed out waiting")


def launched() -> int:
    """Processes that a launcher has started beside this one, itself included; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def number() -> int:
    """Number that a launcher has given this process, whether it has joined the others or not; 0 without a launcher."""
    return int(os.environ.get("RANK", "0"))


def name_accelerator() -> None:
    """Tell DeepSpeed where there is no GPU: it looks for one wherever it is imported, and warns that it found none."""
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")


def joined() -> bool:
    """Whether this process has joined others, and is not working by itself."""
    if launched() == 1 or _now.by_itself:
        return False
    import torch

    return torch.distributed.is_available() and torch.distributed.is_initialized()


def count() -> int:
    """How many have joined."""
    if not joined():
        return 1
    import torch

    return torch.distributed.get_world_size()


def rank() -> int:
    """Number of this one, from 0; the first one alone writes files."""
    if not joined():
        return 0
    import torch

    return torch.distributed.get_rank()


def barrier() -> None:
    """Wait for all."""
    if joined():
        import torch

        torch.distributed.barrier()


def agreed(value: T) -> T:
    """The first rank's value."""
    if not joined():
        return value
    import torch

    box = [value]
    torch.distributed.broadcast_object_list(box, src=0)
    return box[0]


def gathered(value: T) -> list[T]:
    """The values of all ranks, in their order."""
    if not joined():
        return [value]
    import torch

    found: list[Any] = [None] * count()
    torch.distributed.all_gather_object(found, value)
    return found


def alone(make: Callable[[], T]) -> T:
    """What the first rank makes, while the others wait."""
    found = None
    if rank() == 0:
        with by_itself():
            found = make()
    return agreed(found)  # type: ignore[return-value]


def spread(items: Sequence[T], compute: Callable[[T], U]) -> list[U]:
    """`compute` of each item, in order: each rank computes every so-manieth, and all get all."""
    step = count()
    own = [compute(item) for item in items[rank() :: step]]
    if step == 1:
        return own
    parts = gathered(own)
    return [parts[index % step][index // step] for index in range(len(items))]


@contextmanager
def first_then_others() -> Iterator[None]:
    """Let the first rank through, and the others once it is done: for what it makes on disk and they then find."""
    mine = rank()
    if mine:
        barrier()
    with by_itself():
        yield
    if not mine:
        barrier()


def summed(values: Sequence[float]) -> list[float]:
    """The sums of numbers over all ranks."""
    if not joined():
        return list(values)
    import torch

    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    found = torch.tensor(values, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(found)
    return [float(value) for value in found.tolist()]


def is_lost(error: BaseException) -> bool:
    """Whether an error says that another rank is gone."""
    return count() > 1 and isinstance(error, RuntimeError) and any(part in str(error).lower() for part in LOST)


def lost() -> RunFailed:
    """What is to be said then."""
    return RunFailed("another rank has ended", "see what it said; the same command goes on from the checkpoint")


@dataclass(frozen=True)
class Share:
    """The sequences that this rank computes of those that all ranks compute at a time.

    Attributes:
        total: how many all of them compute.
        rows: which ones are this rank's.
    """

    total: int
    rows: tuple[int, ...]


@dataclass
class _Now:
    """What this process is at; its threads see the same, autograd's too, which compute checkpointed layers again."""

    share: Share | None = None
    by_itself: bool = False


_now = _Now()


@contextmanager
def sharing(share: Share) -> Iterator[None]:
    """Say what a rank computes, inside the context."""
    before, _now.share = _now.share, share if count() > 1 else None
    try:
        yield
    finally:
        _now.share = before


@contextmanager
def by_itself() -> Iterator[None]:
    """Let this process be one alone inside the context: what it does there, training too, others have no part in."""
    before, _now.by_itself = _now.by_itself, True
    try:
        yield
    finally:
        _now.by_itself = before


def drawn(draw: "Callable[..., Tensor]", lead: Sequence[int], *rest: int, device: Any = None) -> "Tensor":
    """Random numbers `(*lead, *rest)`, where the first of `lead` counts sequences.

    All ranks draw those of all sequences, from generators in the same state, and take their own: so noise does not
    depend on how many ranks there are.
    """
    share = _now.share
    if share is None or not lead or lead[0] != len(share.rows):
        return draw(*lead, *rest, device=device)
    return draw(share.total, *lead[1:], *rest, device=device)[list(share.rows)]
