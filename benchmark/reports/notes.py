"""What the numbers of a task stand on: model, data, n, seeds and machines."""

from collections.abc import Sequence

from benchmark.records.schema import Record
from benchmark.records.timings import machine
from benchmark.reports.rows import SeedStats
from benchmark.tasks.kind import kind_of
from benchmark.tasks.registry import get_task


def notes(task: str, records: Sequence[Record], teachers: Sequence[Record] = ()) -> str:
    """A paragraph on complete records of one task, and on what the fine-tuning of their dense models took."""
    if not records:
        return "No complete run."
    kind, first = kind_of(get_task(task)), records[0]
    assert first.data is not None and first.model is not None and first.outcome is not None
    parts = [
        f"Model {first.model['name']}" + (f" ({first.model['note']})" if first.model["note"] else ""),
        f"data {first.data.source}",
        f"train {first.data.train_rows:,} {kind.unit}, {first.data.split} n = {first.data.evaluation_rows:,}",
        _seeds(records),
        f"{'context' if kind.running_text else 'fixed length'} {first.outcome.macs.fixed_length}",
        *_precisions(records),
        *_machines(records),
    ]
    parts += _evaluation(first)
    tuning = [sum(r.outcome.seconds.values()) for r in teachers if r.outcome]
    if any(tuning):
        parts.append(f"dense fine-tuning {SeedStats(tuple(tuning)).text(0, ' s', spread=True)}")
    text = "; ".join(parts) + "."
    return text + (f" Note: {first.data.caveat}." if first.data.caveat else "")


def _seeds(records: Sequence[Record]) -> str:
    found = sorted({r.seed for r in records})
    return f"seed{'s' if len(found) > 1 else ''} {', '.join(map(str, found))}"


def _precisions(records: Sequence[Record]) -> list[str]:
    """What training computed in: that of most rows, then the rows that differ."""
    rows: dict[str, set[str]] = {}
    for record in records:
        if record.outcome and (used := sorted(set(record.outcome.compute.precision.values()))):
            rows.setdefault(" and ".join(used), set()).add(record.row)
    most = max(rows, key=lambda name: len(rows[name]), default="")
    others = [f"that of {', '.join(sorted(found))} in {name}" for name, found in sorted(rows.items()) if name != most]
    return ["; ".join([f"training in {most}", *others])] if most else []


def _machines(records: Sequence[Record]) -> list[str]:
    """Where the rows were made, and where their latencies were measured: elsewhere, on several, or of fewer seeds."""
    made = "; ".join(sorted({machine(r.provenance.hardware) for r in records}))
    timed = [r for r in records if r.outcome and r.outcome.latency]
    rows: dict[str, set[str]] = {}
    for record in timed:
        assert record.outcome is not None
        for each in record.outcome.latency:
            rows.setdefault(each.get("machine") or machine(record.provenance.hardware), set()).add(record.row)
    most = max(rows, key=lambda name: len(rows[name]), default=made)
    others = [f"that of {', '.join(sorted(found))} on {name}" for name, found in sorted(rows.items()) if name != most]
    fewer = f", {_seeds(timed)}" if timed and _seeds(timed) != _seeds(records) else ""
    return (
        [made, "; ".join([f"time measured on {most}{fewer}", *others])] if most != made or others or fewer else [made]
    )


def _evaluation(record: Record) -> list[str]:
    """What is particular to the evaluation: precision, and questions of zero-shot tasks."""
    assert record.outcome is not None
    rows: dict[str, int] = record.outcome.report.get("zero_shot_rows", {})
    precision = record.outcome.compute.evaluation_precision
    found = [f"metrics in {precision}"] if precision != "fp32" else []
    if made := record.outcome.report.get("generation"):
        found.append(
            f"prefill and decode: reading {made['prompt']} tokens, and writing {made['new']} after them with a cache, "
            "one sequence at a time, greedily"
        )
    return [*found, "zero-shot n = " + ", ".join(f"{n} ({name})" for name, n in rows.items())] if rows else found
