"""Keep OpenVINO from leaving the process without a stack to handle signals on."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Stack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def signal_stack_kept() -> Iterator[None]:
    """Set the stack of signal handlers back to what it was before.

    OpenVINO's CPU plugin sets one of its own and frees it with itself. Where two plugins are freed in the order in
    which they were loaded, the freed stack of the first one stays set, and the next signal, Ctrl-C for one, ends the
    process by a segmentation fault (seen in 2026.4.1).
    """
    if sys.platform != "linux":
        yield
        return
    libc, before = ctypes.CDLL(None), _Stack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)
