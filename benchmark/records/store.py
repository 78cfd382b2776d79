"""Records on disk: one JSON per run key, written atomically, read strictly."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from benchmark.common.digests import key_of
from benchmark.common.files import write_atomically
from benchmark.grid.cells import SCHEMA, Cell
from benchmark.records.predictions import check_predictions
from benchmark.records.schema import Record
from vtrans.errors import SuiteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vtrans.teaching.cache import TeacherCache

log = logging.getLogger(__name__)
CACHE_GIB = 8.0
# Bytes that names of files and folders may have; the stem leaves room in 255 for `.predictions.safetensors`.
STEM, FOLDER = 230, 245
CUT = "~"  # what a row ends with in a name that is cut; the record has it whole
RETRY = "the field `error` of each record says why; the same command tries them again"


class Store:
    """Records and working files under one results folder, `RESULTS/PRESET/SUITE/{runs,work}`.

    Args:
        root: the results folder.
        suite, preset: names.
        cache_gib: GiB that outputs of teachers may take in the folder; 0 to keep none, so that teachers run.
    """

    def __init__(self, root: Path, suite: str, preset: str, cache_gib: float = CACHE_GIB) -> None:
        self.root, self.suite, self.preset, self.cache_gib = root, suite, preset, cache_gib
        self.folder = root / preset / suite
        self.runs = self.folder / "runs"
        self._names: list[str] | None = None

    def of(self, cell: Cell) -> "Store":
        """The store of a cell's own suite: models that other suites start from lie in that of `glue`."""
        store = Store(self.root, cell.suite, self.preset, self.cache_gib)
        return self if store.folder == self.folder else store

    @property
    def teacher_cache(self) -> "TeacherCache | None":
        """Outputs of teachers, which all cells share."""
        from vtrans.teaching.cache import GIB, TeacherCache

        return (
            TeacherCache(self.folder / "work" / "teacher-outputs", round(self.cache_gib * GIB))
            if self.cache_gib
            else None
        )

    def path(self, cell: Cell) -> Path:
        """File of a cell's record."""
        return self.runs / f"{file_stem(cell, STEM)}.json"

    def work(self, cell: Cell) -> Path:
        """Folder of a cell's checkpoints, logs and weights."""
        return self.folder / "work" / file_stem(cell, FOLDER)

    def has_weights(self, cell: Cell) -> bool:
        """Whether the model of a cell lies in its folder."""
        return (self.of(cell).work(cell) / "model" / "config.json").exists()

    def read(self, cell: Cell) -> Record | None:
        """The cell's record, None where there is none.

        Raises:
            SuiteError: the file is damaged (it is set aside) or belongs to another run.
        """
        path = self.path(cell)
        if not path.exists():
            return None
        record = _read_or_set_aside(path)
        if record.key != cell.key or record.config != cell.config:
            raise SuiteError(f"{path} holds the record of another run ({record.key})", "move it away and run again")
        return record

    def write(self, cell: Cell, record: Record) -> Path:
        """Write a record atomically. A complete one is never replaced."""
        old = self.path(cell)
        if old.exists() and _read_or_set_aside(old).status == "complete":
            return old
        write_atomically(old, record.sealed().model_dump_json(indent=1) + "\n")
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
        """Complete records of the given cells; the others are left out.

        Raises:
            SuiteError: one is damaged.
        """
        records = {cell: self.read(cell) for cell in cells}
        return {cell: r for cell, r in records.items() if r is not None and r.status == "complete"}

    def shown(self, cells: list[Cell]) -> dict[Cell, Record]:
        """As `complete`, for reports: a damaged record is named in a warning and left out."""
        found = dict[Cell, Record]()
        for cell in cells:
            try:
                found |= self.complete([cell])
            except SuiteError as error:
                log.warning("left out: %s", error)
        return found


def with_missing(cells: "Sequence[Cell]", store: Store) -> list[Cell]:
    """The cells, and before them those that they start from and whose weights are not there."""
    found: dict[Cell, None] = {}
    for cell in cells:
        found |= dict.fromkeys(each for each in cell.needed if not store.has_weights(each))
        found[cell] = None
    return list(found)


def file_stem(cell: Cell, longest: int) -> str:
    """`TASK--ROW--SPLIT--seedN--KEY`, the row cut where that is longer than so many bytes."""
    over = len(f"{cell.name}--{cell.key}".encode()) - longest
    short = cell.row[: -over - len(CUT)] + CUT if over > 0 else cell.row
    return f"{cell.name.replace(cell.row, short)}--{cell.key}"


def read_record(path: Path) -> Record:
    """Read and validate one record.

    Raises:
        SuiteError: it is damaged, foreign (its key is not that of its config and file), of another schema, or it or
            its predictions were changed since they were written.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SuiteError(f"{path} cannot be read ({error.strerror})", "move it away and run the cell again") from None
    except (ValueError, UnicodeDecodeError):
        raise DamagedRecord(f"{path} is no JSON", "restore the file, or remove it and run the cell again") from None
    if isinstance(content, dict) and content.get("schema_version", SCHEMA) != SCHEMA:
        raise SuiteError(f"{path} has schema {content['schema_version']}, not {SCHEMA}", "move it away and run again")
    try:
        record = Record.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "record"
        cause = f"{path} does not fit the schema ({where}: {first['msg']})"
        raise DamagedRecord(cause, "restore the file, or remove it and run the cell again") from None
    if record.key != key_of(record.config) or not path.stem.endswith(record.key):
        raise SuiteError(f"{path} holds the record of another run ({record.key})", "move it away and run again")
    if record.digest != record.own_digest():
        raise SuiteError(f"{path} was changed after it was written", "restore the file, or remove it and run again")
    if record.outcome and record.outcome.predictions:
        check_predictions(path, record.outcome.predictions)
    return record


class DamagedRecord(SuiteError):
    """A file in the place of a record that is none."""


def _read_or_set_aside(path: Path) -> Record:
    """Read a record; a damaged one is renamed to `*.corrupt`, so that the cell can run again."""
    try:
        return read_record(path)
    except DamagedRecord as error:
        target = path.with_suffix(".corrupt")
        path.replace(target)
        raise SuiteError(error.parts[0], f"it is now {target.name}; run the cell again or restore the file") from None
