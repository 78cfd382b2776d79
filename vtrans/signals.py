"""Ctrl-C and SIGTERM, which end a run alike."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def handled_by(handler: Callable[[int, object], object]) -> Iterator[None]:
    """Let a function take both signals. They reach the main thread alone; elsewhere nothing is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def interrupting() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt, as Ctrl-C does: for work that has no checkpoint to write.

    A second SIGTERM is let go: one may come from a launcher, and one from whoever stops both.
    """
    came: list[int] = []

    def handler(number: int, frame: object) -> None:
        """Interrupt, unless it is SIGTERM once more."""
        if number == signal.SIGTERM and came:
            return
        came.append(number)
        raise KeyboardInterrupt

    with handled_by(handler):
        yield
