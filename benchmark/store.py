"""Records on disk: one JSON a run key, written atomically, read strictly."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from benchmark.cells import SCHEMA, Cell
from benchmark.records import Record
from vtrans.errors import SuiteError


class Store:
    """Records and working files under one results folder, `RESULTS/PRESET/SUITE/{runs,work}`."""

    def __init__(self, root: Path, suite: str, preset: str) -> None:
        self.folder = root / preset / suite
        self.runs = self.folder / "runs"
        self._names: list[str] | None = None

    def path(self, cell: Cell) -> Path:
        """File of a cell's record."""
        return self.runs / f"{cell.name}--{cell.key}.json"

    def work(self, cell: Cell) -> Path:
        """Folder of a cell's checkpoints, logs and weights."""
        return self.folder / "work" / f"{cell.name}--{cell.key}"

    def read(self, cell: Cell) -> Record | None:
        """The cell's record, None where there is none.

        Raises:
            SuiteError: the file is damaged (it is set aside) or belongs to another run.
        """
        path = self.path(cell)
        if not path.exists():
            return None
        record = read_record(path)
        if record.key != cell.key or record.config != cell.config:
            raise SuiteError(f"{path} holds the record of another run ({record.key})", "move it away and run again")
        return record

    def write(self, cell: Cell, record: Record) -> Path:
        """Write a record atomically. A complete one is never replaced."""
        old = self.path(cell)
        if old.exists() and read_record(old).status == "complete":
            return old
        write_atomically(old, record.model_dump_json(indent=1) + "\n")
        return old

    def state(self, cell: Cell) -> str:
        """`done`, `failed`, `cancelled`, `stale` (a record of the row under another config) or `missing`."""
        if self._names is None:
            self._names = sorted(p.name for p in self.runs.glob("*.json"))
        if self.path(cell).name in self._names:
            record = self.read(cell)
            assert record is not None
            return {"complete": "done"}.get(record.status, record.status)
        return "stale" if any(name.startswith(f"{cell.name}--") for name in self._names) else "missing"

    def complete(self, cells: list[Cell]) -> dict[Cell, Record]:
        """Complete records of the given cells; the others are left out."""
        records = {cell: self.read(cell) for cell in cells}
        return {cell: r for cell, r in records.items() if r is not None and r.status == "complete"}

    @contextmanager
    def claim(self, cell: Cell) -> Iterator[bool]:
        """Hold the cell against other processes; yields False where one holds it. Freed even by a crash."""
        folder = self.work(cell)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True


def read_record(path: Path) -> Record:
    """Read and validate one record.

    Raises:
        SuiteError: it is damaged, and now called `*.corrupt`, or of another schema.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError):
        raise _set_aside(path, "is no JSON") from None
    if isinstance(content, dict) and content.get("schema_version", SCHEMA) != SCHEMA:
        raise SuiteError(f"{path} has schema {content['schema_version']}, not {SCHEMA}", "run the cell again")
    try:
        return Record.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "record"
        raise _set_aside(path, f"does not fit the schema ({where}: {first['msg']})") from None


def _set_aside(path: Path, why: str) -> SuiteError:
    target = path.with_suffix(".corrupt")
    path.replace(target)
    return SuiteError(f"{path} {why}", f"it is now {target.name}; run the cell again or restore the file")


def write_atomically(path: Path, text: str) -> None:
    """Write `text` so that a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
