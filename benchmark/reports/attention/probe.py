"""Attention probing: do the heads that pruning keeps look elsewhere than those it takes? (VTrans, abstract)

Every head of the dense model is a point: its share of attention to a target, and whether it was kept.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats
from tabulate import tabulate

from benchmark.common.files import write_atomically
from benchmark.grid.cells import Cell
from benchmark.grid.suites import get_preset
from benchmark.records.schema import Record
from benchmark.records.store import Store, read_record
from vtrans.errors import SuiteError

if TYPE_CHECKING:
    from vtrans.training.loop import Report

RESAMPLES, CONFIDENCE = 2000, 0.95


@dataclass(frozen=True)
class Heads:
    """The heads of the dense models of some runs.

    Attributes:
        shares: `(heads, targets)`.
        kept: `(heads,)`, bool.
        layer: `(heads,)`, numbered over all runs: no layer of one run is that of another.
    """

    shares: np.ndarray
    kept: np.ndarray
    layer: np.ndarray


def probe(paths: Sequence[Path], folder: Path | None = None, report: "Report | None" = None) -> list[Path]:
    """Probe the runs of one row on one task; write a table and a figure beside their records.

    Raises:
        SuiteError: a record is none, says nothing of its heads, or is of another row than the first.
    """
    paths = [path.resolve() for path in paths]
    records = [(path, _record(path)) for path in paths]
    first = records[0][1]
    if len({record.seed for _, record in records}) < len(records):
        raise SuiteError("two of the records are of one seed", "name each seed's record once")
    for path, record in records:
        if (record.task, record.row, record.preset) != (first.task, first.row, first.preset):
            raise SuiteError(f"{path.name} is of another row than {paths[0].name}", "probe the seeds of one row")
    heads = collect([heads_of(path, record, folder, report) for path, record in records])
    out = paths[0].parents[1] / "probe"
    stem = f"{first.task}--{first.row}"
    text = markdown(first, [r.seed for _, r in records], heads)
    write_atomically(out / f"{stem}.md", text)
    return [out / f"{stem}.md", draw(out / f"{stem}.svg", heads)]


def _record(path: Path) -> Record:
    if not path.is_file():
        raise SuiteError(f"{path} is no file", "name a record, results/PRESET/SUITE/runs/NAME.json")
    record = read_record(path)
    if record.outcome is None or "heads_kept" not in record.outcome.report.get("pruning", {}):
        raise SuiteError(f"{path.name} does not say which heads were kept", "probe a run of VTrans or CoFi")
    return record


def heads_of(path: Path, record: Record, folder: Path | None, report: "Report | None" = None) -> Heads:
    """The heads of one run; its dense model is loaded, or fine-tuned again where its weights are not kept."""
    from benchmark.reports.attention.shares import attention_shares
    from benchmark.runs.runner import check_inputs, obtain
    from benchmark.runs.task_context import TaskContext

    match = re.search(r"--(\w+)--seed\d+--\w+$", path.stem)
    cell = Cell(record.suite, get_preset(record.preset, record.suite), record.task, record.row, record.seed)
    if match is None or match[1] != "validation" or cell.key != record.key:
        raise SuiteError(f"{path.name} was made under another configuration", "run the row again")
    store = Store(path.parents[3], record.suite, record.preset)
    context = TaskContext.load(cell, folder, store.folder / "work", report)
    check_inputs(cell, store, context)
    shares = attention_shares(obtain(cell.teacher, store, context, report), context.evaluation, context.tokenizer)
    assert record.outcome is not None
    return flat(shares, record.outcome.report["pruning"]["heads_kept"])


def flat(shares: np.ndarray, kept: Sequence[Sequence[int]]) -> Heads:
    """Heads of `(layers, heads, targets)` in one row, with the kept ones of each layer marked."""
    layers, heads, _ = shares.shape
    mask = np.zeros((layers, heads), dtype=bool)
    for layer, indices in enumerate(kept):
        mask[layer, list(indices)] = True
    return Heads(shares.reshape(layers * heads, -1), mask.ravel(), np.repeat(np.arange(layers), heads))


def collect(runs: Sequence[Heads]) -> Heads:
    """The heads of several runs together.

    Raises:
        SuiteError: all of them were kept, or none.
    """
    offsets = np.cumsum([0] + [run.layer.max() + 1 for run in runs[:-1]])
    layer = np.concatenate([run.layer + offset for run, offset in zip(runs, offsets, strict=True)])
    together = Heads(np.concatenate([r.shares for r in runs]), np.concatenate([r.kept for r in runs]), layer)
    if together.kept.all() or not together.kept.any():
        raise SuiteError(
            f"{'all' if together.kept.all() else 'no'} heads were kept: nothing to compare", "probe another sparsity"
        )
    return together


def within_layers(values: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Values less the mean of their layer: what is left once layers as a whole do not matter."""
    means = np.array([values[layer == each].mean() for each in range(layer.max() + 1)])
    found: np.ndarray = values - means[layer]
    return found


def correlation(share: np.ndarray, kept: np.ndarray) -> tuple[float, float, float]:
    """Spearman's rho of share and being kept, with the bounds of its 95 % interval (bootstrap over heads)."""

    def rho(x: Any, y: Any) -> float:
        """0 where either side is constant, of which nothing can be said."""
        return float(stats.spearmanr(x, y).statistic) if np.ptp(x) > 0 and np.ptp(y) > 0 else 0.0

    drawn = stats.bootstrap(
        (share, kept.astype(float)),
        rho,
        paired=True,
        vectorized=False,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=np.random.default_rng(0),
    )
    low, high = drawn.confidence_interval
    return rho(share, kept.astype(float)), float(low), float(high)


def markdown(record: Record, seeds: Sequence[int], heads: Heads) -> str:
    """The table, with what its numbers stand on."""
    from benchmark.reports.attention.shares import TARGETS

    rows = []
    for index, target in enumerate(TARGETS):
        share, kept = heads.shares[:, index], heads.kept
        means = [f"{100 * share[kept].mean():.1f}", f"{100 * share[~kept].mean():.1f}"]
        plain = correlation(share, kept)
        inside = correlation(within_layers(share, heads.layer), within_layers(kept.astype(float), heads.layer))
        rows.append([target, *means, *("{:+.2f} [{:+.2f}, {:+.2f}]".format(*found) for found in (plain, inside))])
    names = ["attention to", "kept %", "pruned %", "rho", "rho within layers"]
    assert record.data is not None and record.model is not None
    return (
        f"# {record.row} on {record.task}: where kept and pruned heads of the dense model look\n\n"
        f"Model {record.model['name']}; {record.data.evaluation_rows:,} rows of validation; seeds "
        f"{', '.join(map(str, seeds))}; {len(heads.kept)} heads, {int(heads.kept.sum())} of them kept.\n\n"
        + str(tabulate(rows, names, "github", disable_numparse=True))
        + "\n\nShares of attention, mean over all tokens as queries. rho: Spearman's correlation of a head's share "
        "with being kept, and its 95 % bootstrap interval over heads; within layers, both less their layer's mean. "
        "neighbour: the tokens before and after; content, function: words further away (function: stop words, "
        "numbers, punctuation).\n"
    )


def draw(path: Path, heads: Heads) -> Path:
    """One pair of boxes a target: the shares of kept and of pruned heads, in percent."""
    from benchmark.reports.attention.shares import TARGETS
    from benchmark.reports.figures import charts

    groups = ["kept" if kept else "pruned" for kept in heads.kept]
    panels = {
        target: charts.boxes(
            [{"group": g, "y": 100 * float(y)} for g, y in zip(groups, heads.shares[:, index], strict=True)],
            "heads",
            "share of attention, %",
        )
        for index, target in enumerate(TARGETS)
    }
    write_atomically(path, charts.printed(charts.side_by_side(panels, len(TARGETS), 130), "svg"))
    return path
