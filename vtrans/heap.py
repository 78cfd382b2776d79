"""Memory that is free, given back to the operating system."""

import ctypes
import gc
import os

M_MMAP_THRESHOLD, BLOCK = -3, 128 * 1024  # of glibc's mallopt; bytes, its default before it adapts


def give_back_blocks() -> None:
    """Let glibc map each block above 128 KB by itself from now on, unless the environment says something of it.

    It would raise the limit to 32 MiB and keep the holes below that: layers of every width that are brought together
    from shards and let go of leave as many again as they need.
    """
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        getattr(ctypes.CDLL(None), "mallopt", lambda option, value: 0)(M_MMAP_THRESHOLD, BLOCK)


def trim(collect: bool = True) -> None:
    """Return freed heap memory, where the C library can (glibc); first `collect` objects that hold each other.

    Tensors of another size in every batch leave its heap in pieces: on SQuAD a process that evaluated a model that
    drops tokens grew by 10 GiB, and one that had ended a pruning stage of MiniLM-L6 kept 600 MB to itself.
    """
    if collect:
        gc.collect()
    getattr(ctypes.CDLL(None), "malloc_trim", lambda pad: 0)(0)
