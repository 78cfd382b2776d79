"""Files of one training stage: its checkpoint, replaced atomically, and its log."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from vtrans.errors import RunFailed

SHARE = 0.02  # of a stage's time that checkpoints may take
RATE = 200e6  # bytes per second that a disk is taken to write, before one has been written
SOON = 4.0  # seconds into a stage that is too short for one after its first step
SUFFIXES = (".ckpt", ".jsonl")  # of a stage's checkpoint and its log


class Pace:
    """When checkpoints are due: first after `SOON`, then at intervals that double up to `every`.

    Intervals are at least so long that writing takes no more than `SHARE` of the time.

    Args:
        every: seconds between checkpoints, in the end; more where one takes long to write.
        size: of one, in bytes, about.
    """

    def __init__(self, every: float, size: float = 0.0) -> None:
        self.every, self.size = every, size
        self.wait, self.written = max(min(SOON, every), size / RATE / SHARE), time.monotonic()

    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self.written > self.wait

    def worth_one(self, left: float) -> bool:
        """Whether writing one takes less than `SHARE` of the `left` seconds of a stage."""
        return self.size / RATE < SHARE * left

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Take note of how long one takes that is written inside."""
        began = time.monotonic()
        yield
        self.written = time.monotonic()
        self.wait = max(min(2 * self.wait, self.every), (self.written - began) / SHARE)


class StageFiles:
    """`FOLDER/NAME.ckpt` and `FOLDER/NAME.jsonl`; nothing is kept where the folder is None."""

    def __init__(self, folder: Path | None, name: str) -> None:
        self.checkpoint, self.log = (folder / f"{name}{suffix}" if folder else None for suffix in SUFFIXES)
        if folder:
            folder.mkdir(parents=True, exist_ok=True)

    def write(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint; a crash meanwhile leaves the old one.

        Raises:
            RunFailed: the disk is full; nothing half-written stays.
        """
        if self.checkpoint is None:
            return
        part = self.checkpoint.with_suffix(".part")
        try:
            with part.open("wb") as stream:
                torch.save(state, stream)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(self.checkpoint)
        except (OSError, RuntimeError) as error:  # torch raises the latter where its archive cannot be written
            raise RunFailed(
                f"cannot write {self.checkpoint} ({str(error).splitlines()[0]})",
                "free some space and run the same command: the last checkpoint is kept",
            ) from None
        finally:
            part.unlink(missing_ok=True)

    def read(self) -> dict[str, Any] | None:
        """The checkpoint; None where there is none, or where it is damaged and now called `*.corrupt`."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return None
        try:
            found: dict[str, Any] | None = torch.load(self.checkpoint, "cpu", weights_only=True)
            return found
        except Exception:  # torch raises a dozen kinds for a damaged file
            with suppress(FileNotFoundError):  # another rank was faster
                self.checkpoint.replace(self.checkpoint.with_suffix(".corrupt"))
            return None

    def append_log(self, line: dict[str, float]) -> None:
        """Add one line of JSON to the log."""
        if self.log is not None:
            try:
                with self.log.open("a") as stream:
                    stream.write(json.dumps(line) + "\n")
            except OSError as error:
                raise RunFailed(f"cannot write {self.log}: {error.strerror}", "free some space") from None

    def trim_log(self, step: int) -> None:
        """Drop lines from `step` on, which are made again, and damaged or half-written ones."""
        if self.log is None or not self.log.exists():
            return
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        self.log.write_text("".join(f"{line}\n" for line in lines if _step_of(line) < step))


def _step_of(line: str) -> float:
    """Step of a line of a log; infinity where it is none."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return float("inf")
