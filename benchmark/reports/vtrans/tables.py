"""`paper vtrans`: what its claims ask for, measured under a preset, and printed cells that a source is held for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from benchmark.common.files import write_atomically
from benchmark.grid.cells import plan
from benchmark.grid.suites import get_suite
from benchmark.records.schema import Record
from benchmark.records.store import Store
from benchmark.reports.differences import metric_of
from benchmark.reports.rows import MISSING
from benchmark.reports.vtrans.printed import COFI, LEGEND, TVA, PrintedTable
from benchmark.statistics.comparison import Load, loader, score
from benchmark.statistics.intervals import over_runs
from vtrans.errors import SuiteError

ABOUT = (
    "None of the paper's own tables is at hand, so that no number here stands beside a printed one of VTrans. Scores "
    "are means over seeds with 95 % intervals (over seeds and examples where predictions are kept); perplexity is "
    "better the lower. cost: training FLOPs in those of VTrans at the same size, range over seeds. – not run, "
    "or its FLOPs were not metered."
)


@dataclass(frozen=True)
class Measured:
    """A table of one suite: rows of it, on those of its preset's tasks that have one."""

    title: str
    suite: str
    rows: tuple[str, ...]
    reference: str = ""


SIZES = (40, 60, 80, 90, 95)
TABLES = (
    Measured(
        "GLUE at equal encoder size",
        "glue",
        ("dense", *(f"{m}-s{s}" for s in SIZES for m in ("VTrans", "CoFi", "Fisher-recovered", "magnitude", "random"))),
    ),
    Measured(
        "GLUE at equal total size, embeddings pruned or whole",
        "embeddings",
        tuple(f"{m}-s{s}" for s in (20, 30, 40, 60) for m in ("VTrans-total", "CoFi-layers-total")),
    ),
    Measured(
        "Fast-VTrans and Faster-VTrans",
        "glue",
        ("VTrans-s60", "Fast-VTrans-long-s60", "Fast-VTrans-s60", "Faster-VTrans-s60", "CoFi-s60", "Fisher-s60"),
        "VTrans-s60",
    ),
    Measured("Encoders pruned on text, then fine-tuned", "agnostic", ("VTrans-agnostic-s60", "CoFi-agnostic-s60")),
    Measured(
        "GPT-2",
        "lm",
        ("dense", "VTrans-s40", "VTrans-s60", "VTrans-s80", "CoFi-s60", "Fast-VTrans-s60", "Faster-VTrans-s60"),
    ),
    Measured("LLaMA-shaped", "llm", ("dense", *(f"Faster-VTrans-LLM-s{s}" for s in (20, 35, 50)))),
)


def write(results: Path, preset: str) -> list[Path]:
    """Write `RESULTS/PRESET/vtrans/tables.md` and return its path.

    Raises:
        SuiteError: no row of any table has a record.
    """
    load = loader(results)
    parts = [part for part in (_section(table, results, preset, load) for table in TABLES) if part]
    if not parts:
        raise SuiteError(
            f"no row of VTrans's tables has a record in {results / preset}", "run the suites glue, lm, llm"
        )
    probes = sorted((results / preset).glob("*/probe/*.md"))
    links = [f"- [{p.stem.replace('--', ', ')}](../{p.relative_to(results / preset).as_posix()})" for p in probes]
    if links:
        parts.append("## Where kept and pruned heads look\n\n" + "\n".join(links))
    printed = [_printed(table) for table in (COFI, *TVA)]
    text = "\n\n".join([f"# VTrans, preset {preset}", ABOUT, *parts, "# Printed", LEGEND, *printed]) + "\n"
    path = results / preset / "vtrans" / "tables.md"
    write_atomically(path, text)
    return [path]


def _section(table: Measured, results: Path, preset: str, load: Load) -> str:
    """One table; empty where none of its rows has a record."""
    if preset not in get_suite(table.suite).presets:
        return ""
    store, tasks = Store(results, table.suite, preset), get_suite(table.suite).presets[preset].tasks
    found = {
        (task, row): list(store.shown(plan(table.suite, preset, [row], [task])).values())
        for task in tasks
        for row in table.rows
    }
    shown = [task for task in tasks if any(found[task, row] for row in table.rows)]
    rows = [row for row in table.rows if any(found[task, row] for task in shown)]
    heads = ["method", *(f"{task} {metric_of(task)}" for task in shown)]
    heads += [f"{task} cost" for task in shown if table.reference]
    lines = [[row, *_cells(row, shown, found, table.reference, load)] for row in rows]
    return f"## {table.title}\n\n{tabulate(lines, heads, 'github', disable_numparse=True)}" if rows else ""


def _cells(
    row: str, tasks: Sequence[str], found: dict[tuple[str, str], list[Record]], reference: str, load: Load
) -> list[str]:
    scores = [score(metric_of(task), found[task, row], load) for task in tasks]
    cells = [each.text() if each else MISSING for each in scores]
    return cells + [_cost(found[task, row], found[task, reference]) for task in tasks if reference]


def _cost(ours: Sequence[Record], theirs: Sequence[Record]) -> str:
    """Training FLOPs over those of the reference, seed by seed."""
    flops = [{r.seed: r.outcome.compute.training_flops for r in each if r.outcome} for each in (ours, theirs)]
    ratios = [
        (flops[0][seed] or 0.0) / base for seed, base in flops[1].items() if base and flops[0].get(seed) is not None
    ]
    return over_runs(ratios).text(2) if ratios else MISSING


def _printed(table: PrintedTable) -> str:
    text = f"## {table.title}\n\n{tabulate(table.rows, table.heads, 'github', disable_numparse=True)}"
    return text + (f"\n\nRemark: {table.remark}." if table.remark else "")
