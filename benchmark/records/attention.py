"""Where the heads of a run's dense model look, measured after the run and kept beside its record."""

from math import isfinite
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from benchmark.common.files import write_atomically
from benchmark.records.schema import Provenance
from vtrans.errors import SuiteError


class Attention(BaseModel):
    """Shares of attention of one dense model.

    Attributes:
        key: of the record whose dense model it is.
        model_sha256: of the dense model's weights.
        rows: of validation that the shares are a mean over.
        targets: names along the last axis of `shares`.
        shares: of each head, `(layers, heads, targets)`; they sum to 1 over the targets.
        provenance: of the measurement.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    model_sha256: str
    rows: int
    targets: tuple[str, ...]
    shares: list[list[list[float]]]
    provenance: Provenance

    @model_validator(mode="after")
    def _is_one_array(self) -> "Attention":
        heads = {len(layer) for layer in self.shares}
        parts = {len(head) for layer in self.shares for head in layer}
        if len(heads) != 1 or 0 in heads or parts != {len(self.targets)}:
            raise ValueError("shares are of layers, heads and targets")
        if not all(isfinite(share) for layer in self.shares for head in layer for share in head):
            raise ValueError("a share is no number")
        return self


def attention_path(record: Path) -> Path:
    """Where the shares of a record's dense model lie: `probe/` beside `runs/`."""
    return record.parents[1] / "probe" / record.name


def write_attention(record: Path, found: Attention) -> None:
    """Write the shares of the record at a path."""
    write_atomically(attention_path(record), found.model_dump_json() + "\n")


def read_attention(record: Path, key: str) -> Attention | None:
    """The shares of the record at a path; None where they were not measured.

    Raises:
        SuiteError: the file is damaged, or of another run.
    """
    path = attention_path(record)
    if not path.exists():
        return None
    try:
        found = Attention.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError, OSError):
        raise SuiteError(f"{path} holds no shares of attention", "remove it, and probe the record again") from None
    if found.key != key:
        raise SuiteError(f"{path} is of another run", "remove it, and probe the record again")
    return found
