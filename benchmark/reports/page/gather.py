"""What the page shows, read from records and nothing else, as plain JSON values."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any

from benchmark.grid.suites import SUITES
from benchmark.records.schema import Record
from benchmark.records.store import Store
from benchmark.records.timings import machine
from benchmark.reports import differences, tables
from benchmark.reports.notes import notes
from benchmark.reports.rows import MISSING, SeedStats, TableRow, is_plain, method_of, size_in
from benchmark.statistics.comparison import Load, difference, loader
from benchmark.statistics.intervals import Interval
from benchmark.tasks.metrics import digits, get_metric
from vtrans.errors import SuiteError

Files = dict[str, str]  # of a suite's records by their keys, relative to the preset's folder, where the page lies


@dataclass(frozen=True)
class Contents:
    """All of the page.

    Attributes:
        preset: name.
        rows: one of each suite, task and row that has a record; see `_row`.
        tasks: by SUITE/TASK, its metric, whether more of it is better, and what its numbers stand on: all, and by size.
        answers: the best row of each size of a task, and those that it is not told apart from; see `_answer`.
        problems: damaged records, which are left out.
    """

    preset: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def gather(root: Path, preset: str) -> Contents:
    """Read the records of a preset in all suites that have it.

    Raises:
        SuiteError: there is none: says what to run, and for how long.
    """
    found, load = Contents(preset), loader(root)
    with warnings_of_records(found.problems):
        for suite in SUITES:
            if preset in SUITES[suite].presets and not SUITES[suite].split:
                _suite(found, root, suite, load)
    if not found.rows:
        raise SuiteError(f"no complete record of preset {preset} under {root}", _remedy(preset))
    return found


def _remedy(preset: str) -> str:
    from benchmark.grid import cost
    from benchmark.grid.cells import plan

    suite = next((name for name, each in SUITES.items() if preset in each.presets), "glue")
    cells = plan(suite, preset)
    hours = cost.cost(cells).flops / (cells[0].preset.tflops * 1e12) / 3600
    return f"run vtrans-bench run {suite} --preset {preset}, about {hours:.1f} machine-hours"


@contextmanager
def warnings_of_records(into: list[str]) -> Iterator[None]:
    """Collect what the room of records warns of, each once."""
    log, handler = logging.getLogger("benchmark.records"), logging.Handler(logging.WARNING)
    handler.emit = lambda record: _once(into, record.getMessage())  # type: ignore[method-assign]
    before, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = before


def _once(into: list[str], text: str) -> None:
    if text not in into:
        into.append(text)


def _suite(found: Contents, root: Path, suite: str, load: Load) -> None:
    store = Store(root, suite, found.preset)
    if not _runs(store):
        return
    try:
        built = tables.build(store, tables.recorded_cells(store, suite, found.preset))
    except tables.NothingRun:  # failed or stale records alone
        return
    except SuiteError as error:
        found.problems.append(str(error))
        return
    files = {path.stem.rpartition("--")[2]: path.relative_to(root / found.preset).as_posix() for path in _runs(store)}
    for task, table in built.items():
        metric = differences.metric_of(task)
        sizes = sorted({size_in(row.row) for row in table if row.metric(metric)} - {0.0})
        records = {line.row: line.records for line in table}
        found.tasks[f"{suite}/{task}"] = {
            "metric": metric,
            "higher": get_metric(metric).higher_is_better,
            "about": notes(task, [r for found in records.values() for r in found], table[0].dense),
            "about_sizes": {f"{size:g}": notes(task, _of_size(records, size), table[0].dense) for size in sizes},
        }
        lines = {line.label: line for line in differences.lines(task, table, load)}
        found.answers.extend(_answer(suite, task, size, table, load) for size in sizes)
        found.rows.extend(_row(suite, task, row, lines[row.label], files) for row in table if row.records)


def _of_size(records: dict[str, tuple[Record, ...]], size: float) -> list[Record]:
    """Records of the dense model and of the plain rows of one size."""
    return [
        r for row, found in records.items() if row == "dense" or (size_in(row) == size and is_plain(row)) for r in found
    ]


def _runs(store: Store) -> list[Path]:
    return sorted(store.runs.glob("*.json"))


def _answer(suite: str, task: str, size: float, table: Sequence[TableRow], load: Load) -> dict[str, Any]:
    """The row of a size with the best mean, and the others of that size whose difference to it may be 0.

    Rows that have fewer seeds than another are none of the best, and stand among the others with their dagger.
    """
    metric = differences.metric_of(task)
    sign = 1 if get_metric(metric).higher_is_better else -1
    means = [(row, stats.mean) for row in table if size_in(row.row) == size and (stats := row.metric(metric))]
    most = max(len(row.records) for row, _ in means)
    best = max((pair for pair in means if len(pair[0].records) == most), key=lambda pair: sign * pair[1])[0]
    gaps = {row.label: difference(metric, best.records, row.records, load) for row, _ in means if row is not best}
    ties = [label for label, gap in gaps.items() if gap is None or not gap.excludes_zero]
    return {"suite": suite, "task": task, "size": size, "row": best.row, "ties": ties, "others": len(gaps)}


def _row(suite: str, task: str, row: TableRow, line: differences.Line, files: Files) -> dict[str, Any]:
    """A row of the page: its numbers over all seeds, and those of each seed under `seeds`.

    score, below: of the first metric, and less the dense row's, as numbers and as text.
    """
    places = digits(differences.metric_of(task))
    return {
        "suite": suite,
        "task": task,
        "row": row.row,
        "method": method_of(row.row),
        "size": size_in(row.row),
        "lacking": len(row.records) < row.expected,
        "score": _interval(line.score),
        "score_text": differences.text(line.score, places, sign=False) + " ‡" * line.majority,
        "below_text": differences.text(line.differences[0], places, sign=True),
        **_numbers(row, files),
        "seeds": {str(record.seed): _of_seed(row, record, files) for record in row.records},
    }


def _of_seed(row: TableRow, record: Record, files: Files) -> dict[str, Any]:
    """The numbers of one seed, which has no interval."""
    metric, alone = differences.metric_of(record.task), replace(row, records=(record,))
    stats = alone.metric(metric)
    score = None if stats is None else dict.fromkeys(("value", "low", "high"), stats.mean)
    text = MISSING if stats is None else stats.text(digits(metric))
    return {"score": score, "score_text": text, "below_text": MISSING, **_numbers(alone, files)}


def _numbers(row: TableRow, files: Files) -> dict[str, Any]:
    """Means over the row's records.

    encoder, all, macs, time: percent of the dense model's that are left; seconds: of training; cost: the same in
    fine-tunings of the dense model on a machine of the same kind; kept: shares of units by layer; curves: of
    sparsity, of the first record that has them; words: likewise, of a few sentences where each token is dropped.
    """
    outcomes = [r.outcome for r in row.records if r.outcome]
    times, cost = row.over(lambda o: o.time_speedup(1)), row.cost(row.dense)
    return {
        "encoder": _percent(row.over(lambda o: o.parameters.kept("encoder"))),
        "all": _percent(row.over(lambda o: o.parameters.kept("all"))),
        "macs": _percent(row.over(lambda o: 1 / o.macs.speedup("unpadded"))),
        "time": None if times is None else round(100 / times.mean, 3),
        "seconds": round(mean(sum(o.seconds.values()) for o in outcomes), 1),
        "cost": None if cost is None else round(cost.mean, 3),
        "tokens": _means([o.tokens for o in outcomes]),
        "kept": _kept([o.report.get("pruning", {}) for o in outcomes]),
        "curves": next((curves for o in outcomes if (curves := _curves(o.report))), None),
        "words": next((_words(o.report["dropped"]) for o in outcomes if "dropped" in o.report), None),
        "records": [_provenance(record, files) for record in row.records],
    }


def _interval(found: Interval | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {name: round(getattr(found, name), 4) for name in ("value", "low", "high")}


def _percent(found: SeedStats | None) -> float | None:
    return None if found is None else round(100 * found.mean, 3)


def _means(lists: Sequence[list[float] | None]) -> list[float] | None:
    """Element-wise mean of lists of one length; None where one is missing."""
    known = [each for each in lists if each]
    if not known or len(known) < len(lists) or len({len(each) for each in known}) > 1:
        return None
    return [round(mean(values), 4) for values in zip(*known, strict=True)]


def _kept(decisions: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Units left after pruning, mean over seeds: hidden, FFN units by layer, and how often each head stays."""
    counted = [each["kept"] for each in decisions if "kept" in each]
    if not counted or len(counted) < len(decisions):
        return None
    hidden = mean(each["hidden"] for each in counted)
    named = [each["heads_kept"] for each in decisions if "heads_kept" in each]
    heads = None
    if len(named) == len(decisions):
        layers, seeds = range(len(named[0])), len(named)
        most = 1 + max((head for layer_heads in named for layer in layer_heads for head in layer), default=0)
        heads = [[sum(h in each[layer] for each in named) / seeds for h in range(most)] for layer in layers]
    return {"hidden": hidden, "ffn": _means([each["ffn"] for each in counted]), "heads": heads}


def _curves(report: dict[str, Any]) -> dict[str, list[float]] | None:
    """Sparsity over the steps of pruning: expected, real and the target; None where a record keeps none."""
    names = ("step", "expected", "real", "target")
    found = (curves for curves in report.get("curves", {}).values() if set(names) <= curves.keys())
    for curves in found:
        rows = [row for row in zip(*(curves[name] for name in names), strict=True) if None not in row]
        if rows:
            return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return None


def _words(sentences: list[dict[str, list[Any]]]) -> list[list[dict[str, Any]]]:
    """Of each sentence its tokens as they are read, whether each goes on the word before, the layer that drops it."""
    return [
        [
            {"text": token.removeprefix("##").removeprefix("Ġ"), "joined": joined, "layer": layer}
            for token, joined, layer in zip(each["tokens"], _joined(each["tokens"]), each["layers"], strict=True)
        ]
        for each in sentences
    ]


def _joined(tokens: Sequence[str]) -> list[bool]:
    """Whether a token goes on the word before: `##ing` of WordPiece, or one without `Ġ` of byte-level BPE."""
    if any(token.startswith("Ġ") for token in tokens):
        pairs = zip(["<", *tokens], tokens, strict=False)
        return [not token.startswith(("Ġ", "<")) and not before.startswith("<") for before, token in pairs]
    return [token.startswith("##") for token in tokens]


def _provenance(record: Record, files: Files) -> dict[str, Any]:
    """Where a row's numbers come from."""
    source, data = record.provenance, record.data
    assert data is not None and record.outcome is not None, "only complete records are shown"
    return {
        "seed": record.seed,
        "key": record.key,
        "file": files.get(record.key, ""),
        "commit": source.git_commit[:10] + (" with changes" if source.git_dirty else ""),
        "machine": machine(source.hardware),
        "finished": source.finished[:10],
        "torch": source.versions.get("torch", ""),
        "transformers": source.versions.get("transformers", ""),
        "n": data.evaluation_rows,
        "data": data.source,
        "real": None if record.outcome.sparsity is None else round(100 * record.outcome.sparsity.real, 2),
    }
