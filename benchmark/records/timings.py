"""Speeds that were measured after a run, beside its record, on a machine that had nothing else to do."""

import logging
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from benchmark.common.files import write_atomically
from benchmark.grid.cells import Cell
from benchmark.records.schema import Record
from benchmark.records.store import Store
from vtrans.errors import SuiteError

log = logging.getLogger(__name__)


class Timing(BaseModel):
    """Latencies of one record's model, and its speed of generation.

    Attributes:
        key: of the record.
        widths: units of the model that was timed.
        latency: as an outcome's.
        generation: as in an outcome's report, for models that decode.
        hardware: where.
        measured: when, UTC.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    widths: dict[str, Any]
    latency: list[dict[str, Any]]
    generation: dict[str, Any] | None = None
    hardware: dict[str, Any]
    measured: str


def write_timing(store: Store, cell: Cell, timing: Timing) -> None:
    """Write a timing; a later one stands in the place of an earlier one."""
    write_atomically(_path(store, cell), timing.model_dump_json(indent=1) + "\n")


def read_timing(store: Store, cell: Cell) -> Timing | None:
    """The timing of a cell; None where there is none.

    Raises:
        SuiteError: it is damaged, or of another run.
    """
    path = _path(store, cell)
    if not path.exists():
        return None
    try:
        found = Timing.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError):
        raise SuiteError(f"{path} is no timing", "remove it, and time the record again") from None
    if found.key != cell.key:
        raise SuiteError(f"{path} is the timing of another run", "remove it, and time the record again")
    return found


def timed(store: Store, cell: Cell, record: Record) -> Record:
    """A record with the speeds that were measured later, in the place of its own where there are such.

    A damaged timing is named in a warning and left out.
    """
    if record.outcome is None:
        return record
    try:
        found = read_timing(store.of(cell), cell)
    except SuiteError as error:
        log.warning("left out: %s", error)
        return record
    if found is None:
        return record
    latency = [each | {"machine": machine(found.hardware)} for each in found.latency]
    report = record.outcome.report | ({"generation": found.generation} if found.generation else {})
    outcome = record.outcome.model_copy(update={"latency": latency, "report": report})
    return record.model_copy(update={"outcome": outcome})


def machine(hardware: dict[str, Any]) -> str:
    """A machine for people: its GPU, or its processor and how many of its cores were used."""
    return hardware.get("gpu") or f"{hardware['processor']}, {hardware['threads']} of {hardware['cores']} cores"


def _path(store: Store, cell: Cell) -> Any:
    return store.folder / "timings" / store.path(cell).name
