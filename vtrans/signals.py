"""Ctrl-C and SIGTERM, which end a run alike."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vtrans.errors import RunCancelled

_ending: list[bool] = []  # of each `interrupting` that has begun, the outermost first: whether signals wait
_waiting: list[int] = []  # signals that have come since


@contextmanager
def handled_by(handler: Callable[[int, object], object]) -> Iterator[None]:
    """Let a function take both signals. They reach the main thread alone; elsewhere nothing is done."""
    if not _is_main_thread():
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

    Raises:
        KeyboardInterrupt: at the end, too, where a signal has come since `ending`, after an error as well: whoever goes
            on after errors has to hear of it.
    """
    if not _is_main_thread():
        yield
        return
    _ending.append(False)
    error: BaseException | None = None
    try:
        with handled_by(_interrupt):
            yield
    except BaseException as raised:
        error = raised
    _ending.pop()
    waited = bool(_waiting)
    if not _ending:
        _waiting.clear()
    if waited and not isinstance(error, RunCancelled):
        raise KeyboardInterrupt from error
    if error:
        raise error


@contextmanager
def cancelling() -> Iterator[None]:
    """As `interrupting`, but what is raised is `RunCancelled`."""
    try:
        with interrupting():
            yield
    except KeyboardInterrupt:
        raise RunCancelled("interrupted", "run the same command to go on") from None


def ending() -> None:
    """Let signals wait for the end of the innermost `interrupting`: what it leaves, a record for one, is being written.

    Two may come for one reason, from a launcher and from whoever stops both.
    """
    if _ending and _is_main_thread():
        _ending[-1] = True


def _interrupt(number: int, frame: object) -> None:
    if _ending[-1]:
        _waiting.append(number)
        return
    raise KeyboardInterrupt


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
