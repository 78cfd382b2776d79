"""Locks between processes."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path, wait: bool = True, name: str = "lock") -> Iterator[bool]:
    """Hold a folder against other processes, by a file called `name`; freed even by a crash.

    Yields False where another one holds it, or has just removed the file; with `wait`, waits for that one to end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if os.fstat(stream.fileno()).st_ino != (folder / name).stat().st_ino:
                raise FileNotFoundError
        except OSError:
            yield False
            return
        yield True
