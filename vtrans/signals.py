"""Ctrl-C and SIGTERM, which end a run alike."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_came: list[int] = []  # since the outermost `interrupting` began
_inside: list[bool] = []  # one entry for each that has begun


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

    SIGTERM is let go after another signal, so that what the first one ended can write its record: one may come from a
    launcher, and one from whoever stops both. Of contexts inside each other, the inner ones count for the outer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if not _inside:
        _came.clear()
    _inside.append(True)
    try:
        with handled_by(_interrupt):
            yield
    finally:
        _inside.pop()


def note(number: int) -> None:
    """Remember a signal that a handler of one's own has taken."""
    _came.append(number)


def _interrupt(number: int, frame: object) -> None:
    if number == signal.SIGTERM and _came:
        return
    note(number)
    raise KeyboardInterrupt
