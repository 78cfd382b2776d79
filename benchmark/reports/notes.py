"""What the numbers of a task stand on: model, data, n, seeds and machines."""

from collections.abc import Iterable, Sequence

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
    about = "Note" if first.data.split == "validation" else "Note on the task, whose reported rows these are not"
    return text + (f" {about}: {first.data.caveat}." if first.data.caveat else "")


def _seeds(records: Sequence[Record]) -> str:
    found = sorted({r.seed for r in records})
    return f"seed{'s' if len(found) > 1 else ''} {', '.join(map(str, found))}"


def _precisions(records: Sequence[Record]) -> list[str]:
    """What training computed in: that of most rows, then the rows of which no stage did."""
    used = [(r.row, set(r.outcome.compute.precision.values())) for r in records if r.outcome]
    rows = _rows_by((row, each) for row, found in used for each in found)
    if not rows:
        return []
    most = max(sorted(rows), key=lambda each: len(rows[each]))
    rest = _rows_by((row, " and ".join(sorted(found))) for row, found in used if found and most not in found)
    return ["; ".join([f"training in {most}", *_others(rest, "in")])]


def _rows_by(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Rows by what holds for them, of pairs of both."""
    found: dict[str, set[str]] = {}
    for row, name in pairs:
        found.setdefault(name, set()).add(row)
    return found


def _others(rows: dict[str, set[str]], word: str) -> list[str]:
    return [f"that of {', '.join(sorted(found))} {word} {name}" for name, found in sorted(rows.items())]


def _machines(records: Sequence[Record]) -> list[str]:
    """Where the rows were made, and where their latencies were measured: elsewhere, on several, or of fewer seeds."""
    made = _rows_by((r.row, machine(r.provenance.hardware)) for r in records)
    main = max(sorted(made), key=lambda name: len(made[name]))
    first = [
        f"run on {main}",
        *(f"{', '.join(sorted(rows))} on {name}" for name, rows in sorted(made.items()) if name != main),
    ]
    timed = [r for r in records if r.outcome and r.outcome.latency]
    rows = _rows_by(
        (r.row, each.get("machine") or machine(r.provenance.hardware))
        for r in timed
        if r.outcome
        for each in r.outcome.latency
    )
    most = max(rows, key=lambda name: len(rows[name]), default=main)
    others = _others({name: found for name, found in rows.items() if name != most}, "on")
    fewer = f", {_seeds(timed)}" if timed and _seeds(timed) != _seeds(records) else ""
    told = ["; ".join([f"time measured on {most}{fewer}", *others])] if most != main or others or fewer else []
    return ["; ".join(first), *told]


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
