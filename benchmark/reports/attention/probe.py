"""Attention probing: do the heads that pruning keeps look elsewhere than those it takes? (VTrans, abstract)"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tabulate import tabulate

from benchmark.common.digests import weights_digest
from benchmark.common.files import write_atomically
from benchmark.grid.cells import Cell
from benchmark.grid.suites import get_preset
from benchmark.records.attention import Attention, read_attention, write_attention
from benchmark.records.provenance import now, provenance
from benchmark.records.schema import Record
from benchmark.records.store import Store, read_record
from benchmark.reports.attention.heads import TARGETS, Heads, association, heads_of, kept_heads
from benchmark.reports.rows import MISSING
from vtrans.errors import SuiteError

if TYPE_CHECKING:
    from vtrans.training.loop import Report

DIGITS = 5  # of a share


def probe(paths: Sequence[Path], folder: Path | None = None, report: "Report | None" = None) -> list[Path]:
    """Probe the runs of one row on one task; write their shares, a table and a figure beside their records.

    Shares that lie there are read; the others are measured on the runs' dense models.

    Raises:
        SuiteError: a record is none, says nothing of its heads, or is of another row than the first; or all heads were
            kept, or none.
    """
    paths = [path.resolve() for path in paths]
    records = [_record(path) for path in paths]
    first = records[0]
    if len({record.seed for record in records}) < len(records):
        raise SuiteError("two of the records are of one seed", "name each seed's record once")
    for path, record in zip(paths, records, strict=True):
        if (record.task, record.row, record.preset) != (first.task, first.row, first.preset):
            raise SuiteError(f"{path.name} is of another row than {paths[0].name}", "probe the seeds of one row")
        if read_attention(path, record.key) is None:
            write_attention(path, measure(path, record, folder, report))
    runs = [heads for path, record in zip(paths, records, strict=True) if (heads := heads_of(path, record))]
    _check_differ(runs)
    out, stem = paths[0].parents[1] / "probe", f"{first.task}--{first.row}"
    write_atomically(out / f"{stem}.md", markdown(first, [r.seed for r in records], runs))
    return [out / f"{stem}.md", draw(out / f"{stem}.svg", runs)]


def _record(path: Path) -> Record:
    if not path.is_file():
        raise SuiteError(f"{path} is no file", "name a record, results/PRESET/SUITE/runs/NAME.json")
    record = read_record(path)
    if kept_heads(record) is None:
        raise SuiteError(f"{path.name} does not say which heads were kept", "probe a run of VTrans or CoFi")
    return record


def _check_differ(runs: Sequence[Heads]) -> None:
    kept = np.concatenate([run.kept.ravel() for run in runs])
    if kept.all() or not kept.any():
        raise SuiteError(
            f"{'all' if kept.all() else 'no'} heads were kept: nothing to compare", "probe another sparsity"
        )


def measure(path: Path, record: Record, folder: Path | None, report: "Report | None" = None) -> Attention:
    """Where a run's dense model looks; it is loaded, or fine-tuned again where its weights are not kept."""
    from benchmark.reports.attention.shares import attention_shares
    from benchmark.runs.runner import check_inputs, obtain
    from benchmark.runs.task_context import TaskContext

    started, match = now(), re.search(r"--(\w+)--seed\d+--\w+$", path.stem)
    cell = Cell(record.suite, get_preset(record.preset, record.suite), record.task, record.row, record.seed)
    if match is None or match[1] != "validation" or cell.key != record.key:
        raise SuiteError(f"{path.name} was made under another configuration", "run the row again")
    store = Store(path.parents[3], record.suite, record.preset)
    context = TaskContext.load(cell, folder, store.folder / "work", report)
    check_inputs(cell, store, context)
    dense = obtain(cell.teacher, store, context, report)
    shares = attention_shares(dense, context.evaluation, context.tokenizer)
    return Attention(
        key=record.key,
        model_sha256=weights_digest(store.of(cell.teacher).work(cell.teacher) / "model"),
        rows=len(context.evaluation),
        targets=TARGETS,
        shares=np.round(shares, DIGITS).tolist(),
        provenance=provenance(started),
    )


def markdown(record: Record, seeds: Sequence[int], runs: Sequence[Heads]) -> str:
    """The table, with what its numbers stand on."""
    shares, kept = _together(runs)
    rows = []
    for index, target in enumerate(TARGETS):
        means = [f"{100 * shares[each, index].mean():.1f}" for each in (kept, ~kept)]
        plain, inside = (association(runs, target, inside) for inside in (False, True))
        rho = [f"{plain.value:+.2f}" if plain else MISSING, inside.text(2, sign=True) if inside else MISSING]
        rows.append([target, *means, *rho])
    names = ["attention to", "kept %", "pruned %", "rho", "rho within layers"]
    assert record.data is not None and record.model is not None
    return (
        f"# {record.row} on {record.task}: where kept and pruned heads of the dense model look\n\n"
        f"Preset {record.preset}; model {record.model['name']}; {record.data.evaluation_rows:,} rows of validation; "
        f"seeds {', '.join(map(str, seeds))}; {len(kept)} heads, {int(kept.sum())} of them kept.\n\n"
        + str(tabulate(rows, names, "github", disable_numparse=True))
        + "\n\nShares of attention, mean over all tokens as queries. rho: Spearman's correlation of a head's share "
        "with being kept, mean over seeds; within layers: both less their layer's mean, with the 95 % interval over "
        "seeds and heads, which all seeds share; of one seed over heads alone. Whole layers look alike and are pruned "
        "alike, so that rho over all of them has no such interval. neighbour: the tokens before and after; "
        "content, function: words further away (function: stop words, numbers, punctuation). The dense model is the "
        "run's own where its weights are kept, else one fine-tuned again with the same settings and seed.\n"
    )


def _together(runs: Sequence[Heads]) -> tuple[np.ndarray, np.ndarray]:
    """The heads of all runs in one row: `(heads, targets)` and `(heads,)`."""
    shares = np.concatenate([run.shares.reshape(-1, len(TARGETS)) for run in runs])
    return shares, np.concatenate([run.kept.ravel() for run in runs])


def draw(path: Path, runs: Sequence[Heads]) -> Path:
    """One pair of boxes per target: the shares of kept and of pruned heads, in percent."""
    from benchmark.reports.figures import charts

    shares, kept = _together(runs)
    groups = ["kept" if each else "pruned" for each in kept]
    panels = {
        target: charts.boxes(
            [{"group": g, "y": 100 * float(y)} for g, y in zip(groups, shares[:, index], strict=True)],
            "heads",
            "share of attention, %",
        )
        for index, target in enumerate(TARGETS)
    }
    write_atomically(path, charts.printed(charts.side_by_side(panels, len(TARGETS), 130), "svg"))
    return path
