"""Collective operations of `torch.distributed`, which in a single process cost nothing and change nothing.

The processes are started by torchrun or the deepspeed launcher. All ranks go through the same code in the same order,
so that each collective call here is made by every rank.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from vtrans.errors import RunFailed, SuiteError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
U = TypeVar("U")
LOST = ("connection closed by peer", "connection reset by peer", "broken pipe", "nccl", "socket", "timed out waiting")


def launched_count() -> int:
    """Number of processes that a launcher has started (`WORLD_SIZE`); 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def launched_rank() -> int:
    """Rank that a launcher has given this process (`RANK`), in a process group or not yet; 0 without a launcher."""
    return int(os.environ.get("RANK", "0"))


def name_accelerator() -> None:
    """Tell DeepSpeed where there is no GPU: it looks for one wherever it is imported, and warns that it found none."""
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")


def is_distributed() -> bool:
    """Whether this process is in a process group, and not inside `as_single_process`."""
    if launched_count() == 1 or _now.by_itself:
        return False
    import torch

    return torch.distributed.is_available() and torch.distributed.is_initialized()


def world_size() -> int:
    """Number of processes in the group; 1 without one."""
    if not is_distributed():
        return 1
    import torch

    return torch.distributed.get_world_size()


def rank() -> int:
    """Rank of this process, from 0; only rank 0 writes files."""
    if not is_distributed():
        return 0
    import torch

    return torch.distributed.get_rank()


def barrier() -> None:
    """Wait for all."""
    if is_distributed():
        import torch

        torch.distributed.barrier()


def broadcast(value: T) -> T:
    """The value of rank 0, on all ranks."""
    if not is_distributed():
        return value
    import torch

    box = [value]
    torch.distributed.broadcast_object_list(box, src=0)
    return box[0]


def all_gather(value: T) -> list[T]:
    """The values of all ranks, in the order of the ranks."""
    if not is_distributed():
        return [value]
    import torch

    found: list[Any] = [None] * world_size()
    torch.distributed.all_gather_object(found, value)
    return found


def raise_together(check: Callable[[], None]) -> None:
    """Run a check on every rank, and let all of them raise what the first rank raises that it fails on.

    One rank alone would end without a word: the first one writes errors, and sees that another has ended.
    """
    refused = None
    try:
        check()
    except SuiteError as error:
        refused = error.parts
    for number, parts in enumerate(all_gather(refused)):
        if parts:
            raise SuiteError(f"rank {number}: {parts[0]}" if world_size() > 1 else parts[0], parts[1])


def on_first_rank(make: Callable[[], T]) -> T:
    """What `make` returns on rank 0, on all ranks; the others wait."""
    found = None
    if rank() == 0:
        with as_single_process():
            found = make()
    return broadcast(found)  # type: ignore[return-value]


def map_over_ranks(items: Sequence[T], compute: Callable[[T], U]) -> list[U]:
    """`compute` of each item, in order: rank r computes items r, r + world size, and so on; every rank gets all."""
    step = world_size()
    own = [compute(item) for item in items[rank() :: step]]
    if step == 1:
        return own
    parts = all_gather(own)
    return [parts[index % step][index // step] for index in range(len(items))]


@contextmanager
def first_then_others() -> Iterator[None]:
    """Run the context on rank 0 first and then on the others, which find what rank 0 wrote to disk."""
    mine = rank()
    if mine:
        barrier()
    with as_single_process():
        yield
    if not mine:
        barrier()


def all_reduce_sum(values: Sequence[float]) -> list[float]:
    """Sums over all ranks, number by number."""
    if not is_distributed():
        return list(values)
    import torch

    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    found = torch.tensor(values, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(found)
    return [float(value) for value in found.tolist()]


def is_lost(error: BaseException) -> bool:
    """Whether an error says that another rank is gone."""
    return world_size() > 1 and isinstance(error, RuntimeError) and any(part in str(error).lower() for part in LOST)


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
    """State of this process; shared by its threads, because autograd's threads recompute checkpointed layers."""

    share: Share | None = None
    by_itself: bool = False


_now = _Now()


@contextmanager
def sharing(share: Share) -> Iterator[None]:
    """Let `sample_for_rank` know, inside the context, which sequences this rank computes."""
    before, _now.share = _now.share, share if world_size() > 1 else None
    try:
        yield
    finally:
        _now.share = before


@contextmanager
def as_single_process() -> Iterator[None]:
    """Let this process act as if it were the only one inside the context, in training too."""
    before, _now.by_itself = _now.by_itself, True
    try:
        yield
    finally:
        _now.by_itself = before


def sample_for_rank(draw: "Callable[..., Tensor]", lead: Sequence[int], *rest: int, device: Any = None) -> "Tensor":
    """Random numbers `(*lead, *rest)`, where the first of `lead` counts sequences.

    All ranks draw those of all sequences, from generators in the same state, and take their own: so noise does not
    depend on how many ranks there are.
    """
    share = _now.share
    if share is None or not lead or lead[0] != len(share.rows):
        return draw(*lead, *rest, device=device)
    return draw(share.total, *lead[1:], *rest, device=device)[list(share.rows)]
