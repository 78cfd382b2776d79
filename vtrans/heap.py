"""Memory that is free, given back to the operating system."""

import ctypes
import gc
import os

M_MMAP_THRESHOLD, BLOCK = -3, 128 * 1024  # of glibc's mallopt; bytes, its default before it adapts


def give_back_blocks() -> None:
    """Let glibc map each block above 128 KB by itself from now on, unless the environment says something of it.

    By default glibc raises this threshold, up to 32 MiB, whenever a larger block is freed, and keeps freed blocks below
    it. Gathering layers of many sizes from shards then takes twice the memory.
    """
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        getattr(ctypes.CDLL(None), "mallopt", lambda option, value: 0)(M_MMAP_THRESHOLD, BLOCK)


def trim(collect: bool = True) -> None:
    """Return freed heap memory to the operating system, where the C library can (glibc).

    With `collect`, objects in reference cycles are freed first.

    Tensors of another size in every batch leave its heap in pieces: on SQuAD a process that evaluated a model that
    drops tokens grew by 10 GiB, and one that had ended a pruning stage of MiniLM-L6 kept 600 MB to itself. Small
    tensors that are kept of each batch do so, too.
    """
    if collect:
        gc.collect()
    getattr(ctypes.CDLL(None), "malloc_trim", lambda pad: 0)(0)
