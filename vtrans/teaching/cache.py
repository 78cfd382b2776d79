"""A teacher's outputs on disk: computed once for its training rows, read by every run that learns from it.

One folder per teacher, rows and layers, named by a digest of them. Rows are computed in an order and in batches that
depend on nothing else, so that outputs that are made again after a crash are bit by bit the same.
"""

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from vtrans.data.examples import Examples
from vtrans.data.ragged import Ragged
from vtrans.locks import NoLocks, locked
from vtrans.teaching.outputs import Batch, TeacherOutputs
from vtrans.teaching.stored import DamagedOutputs, Layout, OutOfRange, StoredOutputs, writing

BATCH = 64  # rows that are computed together
GIB = 2**30
PART = ".part"  # of a folder that is being written
RESERVED = "reserved"  # file in it: bytes that it will take
NAME = re.compile(r"[0-9a-f]{16}")  # of a folder that is whole
log = logging.getLogger(__name__)
Compute = Callable[[Batch], TeacherOutputs]
Progress = Callable[[int, int], None]


class CacheUnavailable(Exception):
    """Why outputs are not kept: the teacher then runs as it would without a cache."""


@dataclass(frozen=True)
class CacheRequest:
    """What is to be kept.

    Attributes:
        teacher: digest of its weights.
        examples: training data.
        rows: of it, ascending, each once.
        layers: whose hidden states are kept, counted from 1.
        precision: that the teacher computes in: states are kept in bf16 where that is it, else in fp16.
    """

    teacher: str
    examples: Examples
    rows: Sequence[int]
    layers: tuple[int, ...]
    precision: str

    @property
    def key(self) -> dict[str, Any]:
        """All that the contents depend on, as JSON values."""
        part, found = self.examples.take(self.rows), hashlib.sha256()
        for flat in (cast("Ragged", each) for each in (part.ids, part.types) if each):
            found.update(flat.values.tobytes() + flat.offsets.tobytes())
        facts = {"teacher": self.teacher, "data": found.hexdigest(), "rows": list(self.rows) if self.partial else "all"}
        return facts | {"layers": list(self.layers), "precision": self.precision, "batch": BATCH}

    @property
    def partial(self) -> bool:
        """Whether some rows are left out."""
        return len(self.rows) < len(self.examples)

    @property
    def dtype(self) -> str:
        """Of the states that are kept."""
        return "bfloat16" if self.precision == "bf16" else "float16"

    def batches(self) -> list[list[int]]:
        """Rows that are computed together, shortest first."""
        lengths = self.examples.lengths
        order = sorted(self.rows, key=lambda row: (lengths[row], row))
        return [order[i : i + BATCH] for i in range(0, len(order), BATCH)]


@dataclass(frozen=True)
class TeacherCache:
    """A folder of teachers' outputs.

    Attributes:
        folder: of the cache; `clear` removes it.
        cap: bytes that all of it may take. What was not read for longest makes room for what is new.
    """

    folder: Path
    cap: int = 8 * GIB

    def obtain(self, wanted: CacheRequest, compute: Compute, progress: Progress | None = None) -> StoredOutputs:
        """Outputs for the wanted rows, computed where they are not there.

        Of several processes that ask, one computes and the others wait for it. Damaged contents, and those of
        another teacher, are named in a warning and made anew.

        Raises:
            CacheUnavailable: they would take more than the cap or than the disk has, the folder cannot be written, or a
                state does not fit its type.
        """
        key = wanted.key
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        entry = self.folder / name
        try:
            with locked(self.folder / "locks" / name):
                found = _open(entry, key) or self._write(entry, key, wanted, compute, progress)
                os.utime(entry)
        except OutOfRange as error:
            raise CacheUnavailable(str(error)) from None
        except NoLocks as error:
            raise CacheUnavailable(error.parts[0]) from None
        except OSError as error:
            raise CacheUnavailable(
                f"{error.filename or self.folder} cannot be written ({error.strerror or error})"
            ) from None
        return found

    def entries(self) -> dict[Path, int]:
        """Bytes of each set of outputs, the least recently used first."""
        found = {path: _used(path) for path in self.folder.glob("*/") if NAME.fullmatch(path.name)}
        return {path: _bytes(path) for path in sorted(found, key=found.__getitem__)}

    def clear(self) -> int:
        """Remove all outputs, and nothing else that lies in the folder; return the bytes that they took."""
        held = self.entries()
        for path in (*held, *self.folder.glob(f"*{PART}"), self.folder / "locks"):
            shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):  # not there, or not empty
            self.folder.rmdir()
        return sum(held.values())

    def _write(
        self, entry: Path, key: dict[str, Any], wanted: CacheRequest, compute: Compute, progress: Progress | None
    ) -> StoredOutputs:
        part, batches = entry.with_suffix(PART), wanted.batches()
        self._sweep(but=entry.name)
        shutil.rmtree(part, ignore_errors=True)
        order = [row for rows in batches for row in rows]
        lengths = wanted.examples.tokens.lengths_of
        sample = compute(wanted.examples.batch(order[:1]))
        layout = Layout.of(order, lengths(order).tolist(), wanted.layers, sample, wanted.dtype)
        with locked(self.folder / "locks" / "room"):  # of two that ask at once, the second counts the first one's too
            self._make_room(layout.bytes)
            part.mkdir(parents=True)
            (part / RESERVED).write_text(str(layout.bytes))
        try:
            with writing(part, layout, key) as write:
                for number, rows in enumerate(batches, 1):
                    write(compute(wanted.examples.batch(rows)), lengths(rows).tolist())
                    if progress:
                        progress(number, len(batches))
            (part / RESERVED).unlink()
            part.replace(entry)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return StoredOutputs(entry, layout)

    def _sweep(self, but: str) -> None:
        """Remove what processes that were killed have left half-written."""
        for part in self.folder.glob(f"*{PART}"):
            if part.stem != but:
                with locked(self.folder / "locks" / part.stem, wait=False) as mine:
                    if mine:
                        shutil.rmtree(part, ignore_errors=True)

    def _make_room(self, needed: int) -> None:
        if needed > self.cap:
            raise CacheUnavailable(
                f"outputs of {needed / GIB:.2f} GiB are more than the {self.cap / GIB:g} GiB allowed"
            )
        held, reserved = self.entries(), sum(map(_reserved, self.folder.glob(f"*{PART}")))
        for path in list(held):
            if sum(held.values()) + reserved + needed > self.cap:
                with locked(self.folder / "locks" / path.name, wait=False) as mine:
                    if mine:  # nobody opens it just now
                        shutil.rmtree(path, ignore_errors=True)
                        del held[path]
        if sum(held.values()) + reserved + needed > self.cap:
            raise CacheUnavailable(f"outputs that others are making leave no room for {needed / GIB:.2f} GiB")
        free = shutil.disk_usage(self.folder).free - reserved
        if needed > free:
            raise CacheUnavailable(
                f"outputs of {needed / GIB:.2f} GiB do not fit the {free / GIB:.2f} GiB that are free"
            )


def _open(entry: Path, key: dict[str, Any]) -> StoredOutputs | None:
    """What is there; nothing, with a warning, where it is not what it should be."""
    if not entry.exists():
        return None
    try:
        return StoredOutputs.open(entry, key)
    except DamagedOutputs as error:
        log.warning("%s", error)
        shutil.rmtree(entry, ignore_errors=True)
        return None


def _bytes(folder: Path) -> int:
    with suppress(FileNotFoundError):  # another process has removed it
        return sum(path.stat().st_size for path in folder.glob("*"))
    return 0


def _used(folder: Path) -> float:
    with suppress(FileNotFoundError):
        return folder.stat().st_mtime
    return 0.0


def _reserved(part: Path) -> int:
    """Bytes that outputs which are being written will take."""
    with suppress(OSError, ValueError):
        return int((part / RESERVED).read_text())
    return 0
