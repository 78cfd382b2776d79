"""Speeds that were measured after a run, beside its record, on a machine that had nothing else to do."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from benchmark.common.files import write_atomically
from benchmark.grid.cells import Cell
from benchmark.records.schema import Record, check_latency
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
        digest: sha256 of the rest; empty of those that were measured before there was one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    widths: dict[str, Any]
    latency: list[dict[str, Any]]
    generation: dict[str, Any] | None = None
    hardware: dict[str, Any]
    measured: str
    digest: str = ""

    @field_validator("latency")
    @classmethod
    def _two_timings(cls, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return check_latency(value)

    @field_validator("hardware")
    @classmethod
    def _named(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not value.get("gpu") and not {"processor", "threads", "cores"} <= value.keys():
            raise ValueError("hardware has a GPU, or a processor with its threads and cores")
        return value

    def own_digest(self) -> str:
        """sha256 of everything but the digest."""
        content = self.model_dump(mode="json", exclude={"digest"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_timing(store: Store, cell: Cell, timing: Timing) -> None:
    """Write a timing; a later one stands in the place of an earlier one."""
    sealed = timing.model_copy(update={"digest": timing.own_digest()})
    write_atomically(timing_path(store.path(cell)), sealed.model_dump_json(indent=1) + "\n")


def read_timing(record: Path, key: str) -> Timing | None:
    """The timing of the record at `record`, whose key is `key`; None where there is none.

    Raises:
        SuiteError: it is damaged, changed, or of another run.
    """
    path, again = timing_path(record), "remove it, and time the record again"
    if not path.exists():
        return None
    try:
        found = Timing.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, OSError, UnicodeDecodeError):
        raise SuiteError(f"{path} is no timing", again) from None
    if found.key != key:
        raise SuiteError(f"{path} is the timing of another run", again)
    if found.digest and found.digest != found.own_digest():
        raise SuiteError(f"{path} was changed after it was written", again)
    return found


def timed(store: Store, cell: Cell, record: Record) -> Record:
    """A record with the speeds that were measured later, in the place of its own where there are such.

    A damaged timing is named in a warning and left out.
    """
    if record.outcome is None:
        return record
    try:
        found = read_timing(store.of(cell).path(cell), cell.key)
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


def timing_path(record: Path) -> Path:
    """File of the timing of a record."""
    return record.parents[1] / "timings" / record.name
