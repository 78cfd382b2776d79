"""What pruning decided, run by run: where the gates stood, the threshold that met the size, and the units left."""

from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from benchmark.records.schema import Record
from benchmark.reports.rows import MISSING, TableRow

ABOUT = (
    "One line per run. expected, sign: sparsity that the gates expect at the end of pruning, and that of keeping every "
    "unit whose log-odds are above 0, in percent. threshold: the log-odds above which units are kept, so that the real "
    "size meets the target; far from 0 it means that gates have not come to where the target is. λ1: the linear "
    "Lagrange multiplier. heads, FFN: kept in each layer; 0 where the sub-layer is gone."
)


def markdown(suite: str, preset: str, tables: dict[str, list[TableRow]]) -> str:
    """All tasks whose rows decided something; empty where none did."""
    parts = []
    for task, table in tables.items():
        found = [_line(r) for row in table for r in row.records if r.outcome and "kept" in _pruning(r)]
        if found:
            heads = ["method", "seed", "expected", "sign", "threshold", "λ1", "hidden", "heads", "FFN"]
            parts += [f"## {task}", tabulate(found, heads, "github", disable_numparse=True)]
    return "\n\n".join([f"# {suite}, {preset}: what pruning kept", ABOUT, *parts]) + "\n" if parts else ""


def _line(record: Record) -> list[str]:
    pruning, kept = _pruning(record), _pruning(record)["kept"]
    return [
        record.row,
        str(record.seed),
        *(_number(pruning, name, 100, 1) for name in ("expected_sparsity", "sparsity_at_threshold_0")),
        *(_number(pruning, name, 1, 2) for name in ("threshold", "lambda1")),
        str(kept["hidden"]),
        *(_each(kept[site]) for site in ("heads", "ffn")),
    ]


def _pruning(record: Record) -> dict[str, Any]:
    assert record.outcome is not None, "only complete records are shown"
    found: dict[str, Any] = record.outcome.report.get("pruning", {})
    return found


def _number(found: dict[str, Any], name: str, scale: float, digits: int) -> str:
    return f"{scale * found[name]:.{digits}f}" if name in found else MISSING


def _each(counts: Sequence[int]) -> str:
    return ", ".join(map(str, counts))
