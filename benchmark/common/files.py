"""Files that are whole or not there, and folders that can be written."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from vtrans.errors import SuiteError

LONGEST = 220  # characters of a name that its unfinished file takes over: with the rest fewer than 255


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write text or bytes so that a reader sees the old file or the new one, never half of one.

    Raises:
        SuiteError: the disk is full, or the folder cannot be written; nothing half-written stays.
    """
    part = path.with_name(f".{path.name[:LONGEST]}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise SuiteError(f"cannot write {path}: {error.strerror}", "free some space, or name another folder") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Raise `SuiteError` where a folder cannot be made or written to: before hours of training, not after.

    Nothing is left behind: a call that is refused later has made no folder.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            return
    except OSError as error:
        raise SuiteError(f"cannot write to {folder}: {error.strerror}", "name a folder that can be written") from None
