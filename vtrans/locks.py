"""Locks between processes."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vtrans.errors import SuiteError


class NoLocks(SuiteError):
    """The file system of a folder has no locks."""


@contextmanager
def locked(folder: Path, wait: bool = True, name: str = "lock") -> Iterator[bool]:
    """Hold a folder against other processes, by a file called `name`; freed even by a crash.

    Yields False where another one holds it, or has just removed the file; with `wait`, waits for that one to end.

    Raises:
        NoLocks: the file system has none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("a") as stream:
        yield _taken(stream, wait) and _is(stream, folder / name)


def _taken(stream: IO[str], wait: bool) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        raise NoLocks(
            f"{stream.name} cannot be locked ({error.strerror})", "use a folder of a file system that has locks"
        ) from None
    return True


def _is(stream: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False
