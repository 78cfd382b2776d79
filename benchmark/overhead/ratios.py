"""Measured ratios: quartiles beside the limit that they are to keep, as lines and as a file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ratio:
    """One measured ratio.

    Attributes:
        name: what over what.
        quartiles: first, median, third; three times the same where it was measured once.
        n: measurements.
        limit: that the median is to keep; None where none was set.
        at_least: whether the limit is a lower one.
        note: what else stands in the line, such as the ratio in MACs.
    """

    name: str
    quartiles: tuple[float, float, float]
    n: int
    limit: float | None = None
    at_least: bool = False
    note: str = ""

    @classmethod
    def of(cls, name: str, values: Sequence[float], limit: float | None = None, **more: Any) -> "Ratio":
        """From all measurements."""
        import numpy as np

        low, middle, high = np.percentile(values, (25, 50, 75))
        return cls(name, (float(low), float(middle), float(high)), len(values), limit, **more)

    @property
    def kept(self) -> bool:
        """Whether the median keeps the limit."""
        middle = self.quartiles[1]
        return self.limit is None or (middle >= self.limit if self.at_least else middle <= self.limit)

    def line(self) -> str:
        """For people."""
        low, middle, high = self.quartiles
        spread = f" ({low:.3f} to {high:.3f}, n = {self.n})" if self.n > 1 else ""
        bound = f", limit {'at least' if self.at_least else 'at most'} {self.limit:g}" if self.limit else ""
        return f"{self.name}: {middle:.3f}{spread}{bound}{'' if self.kept else ', NOT KEPT'}{self.note}"


def write(path: Path, started: str, ratios: Sequence[Ratio], **facts: Any) -> None:
    """Write ratios and other facts, with the hardware and versions that they were measured on."""
    content = {**facts, "ratios": [asdict(ratio) | {"kept": ratio.kept} for ratio in ratios]}
    write_facts(path, started, content)


def write_facts(path: Path, started: str, facts: dict[str, Any]) -> None:
    """Write facts, with the hardware and versions that they were measured on."""
    import json

    from benchmark.common.files import write_atomically
    from benchmark.records.provenance import provenance

    content = {"provenance": provenance(started).model_dump()} | facts
    write_atomically(path, json.dumps(content, indent=1, default=str) + "\n")


def kind_of_machine() -> str:
    """What tells machines of one kind from others, for the name of a file: capability, precision, threads."""
    from benchmark.overhead.models import training_precision
    from benchmark.records.provenance import now, provenance

    hardware = provenance(now()).hardware
    return f"{str(hardware['capability']).lower()}-{training_precision()}-{hardware['threads']}-threads"
