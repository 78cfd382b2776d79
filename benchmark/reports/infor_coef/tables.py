"""Tables 2 and 3 of the Infor-Coef paper from the records: the printed cell beside the measured one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean

from tabulate import tabulate

from benchmark.common.files import write_atomically
from benchmark.grid.cells import Cell, plan
from benchmark.grid.suites import get_preset
from benchmark.records.schema import Outcome, Record
from benchmark.records.store import Store
from benchmark.reports.infor_coef.printed import BERT_BASE, FOOTNOTES, TABLE_2, TABLE_3, TASKS, Printed
from benchmark.reports.notes import notes
from benchmark.reports.rows import MISSING, SeedStats
from vtrans.errors import SuiteError

Found = dict[tuple[str, str], list[Outcome]]  # (row, task) -> outcomes over seeds


def collect(results: Path, preset: str) -> tuple[Found, list[Record]]:
    """Outcomes of both suites on the paper's tasks, by row and task, and their records.

    Raises:
        SuiteError: there is no complete record of these tasks.
    """
    found: Found = {}
    records: list[Record] = []
    for suite in ("glue", "ablations"):
        store, cells = Store(results, suite, preset), _planned(suite, preset)
        for cell, record in store.shown(cells).items():
            assert record.outcome is not None
            found.setdefault((cell.row, cell.task), []).append(record.outcome)
            records.append(record)
    if not records:
        raise SuiteError(
            f"no complete record of preset {preset} in {results}", "run the suites glue and ablations first"
        )
    return found, records


def _planned(suite: str, preset: str) -> list[Cell]:
    tasks = [task for task in get_preset(preset).tasks if task in paper_tasks(preset)]
    return plan(suite, preset, tasks=tasks)


def paper_tasks(preset: str) -> dict[str, str]:
    """Tasks of the tables with their metrics; those of a preset that has none of the paper's are its own."""
    own = get_preset(preset).tasks
    return {t: m for t, m in TASKS.items() if t in own} or dict.fromkeys(own, "accuracy")


def rows(table: Sequence[Printed], found: Found, tasks: dict[str, str]) -> list[list[str]]:
    """Formatted cells, `printed | measured` in each."""
    return [_row(printed, found, tasks) for printed in table]


def _row(printed: Printed, found: Found, tasks: dict[str, str]) -> list[str]:
    marks = f" [{','.join(printed.marks)}]" if printed.marks else ""
    per_task = {task: found.get((printed.row, task), []) for task in tasks}

    def over_tasks(function: Callable[[Outcome], float], digits: int, suffix: str) -> str:
        """Mean over tasks of the means over seeds."""
        means = [mean(map(function, outcomes)) for outcomes in per_task.values() if outcomes]
        return f"{mean(means):.{digits}f}{suffix}" if means else MISSING

    share = over_tasks(lambda o: 100 * o.parameters.encoder / o.parameters.dense_encoder, 1, " %")
    cells = [
        printed.label + marks,
        printed.padding or MISSING,
        _pair(printed.params, 0, " %", share),
        _pair(printed.speedup, 1, "×", over_tasks(lambda o: o.macs.speedup(printed.padding or "batch"), 2, "×")),
        over_tasks(lambda o: o.macs.speedup("unpadded"), 2, "×"),
    ]
    scores = dict(zip(TASKS, printed.scores, strict=False))
    return cells + [_pair(scores.get(task), 1, "", _score(per_task[task], tasks[task])) for task in tasks]


def _pair(printed: float | None, digits: int, suffix: str, measured: str) -> str:
    return f"{MISSING if printed is None else f'{printed:.{digits}f}{suffix}'} | {measured}"


def _score(outcomes: Sequence[Outcome], metric: str) -> str:
    values = tuple(o.metrics[metric] for o in outcomes)
    return SeedStats(values).text(1, spread=True) if values else MISSING


LEGEND = (
    "In each cell: printed in the paper, for {bert}, left; measured here, for {model}, right. A measured score is the "
    "mean over seeds ± sample standard deviation on the validation set; – is not printed or not run. Parameters are "
    "the encoder's, samplers counted in. Speed-up: MACs of the dense model over the row's in the named padding regime, "
    "batch where none is named, mean over the tasks that have records. A model that drops tokens computes no padding "
    "but in the scores of attention, the dense model all of it; unpadded gives the same ratio without padding on "
    "either side."
)


def markdown(preset: str, found: Found, records: Sequence[Record]) -> dict[str, str]:
    """The texts of `table2.md` and `table3.md`."""
    tasks = paper_tasks(preset)
    heads = ["model", "padding", "parameters", "speed-up", "unpadded", *(f"{t} {m}" for t, m in tasks.items())]
    model = records[0].model["name"] if records[0].model else ""
    legend = LEGEND.format(bert=BERT_BASE, model=f"{model}, preset `{preset}`")
    sources = [f"- {task}: {notes(task, [r for r in records if r.task == task])}" for task in tasks]
    texts = {}
    for name, table in (("table2", TABLE_2), ("table3", TABLE_3)):
        marks = sorted({mark for printed in table for mark in printed.marks})
        parts = [
            f"# Infor-Coef, {name.replace('table', 'table ')}",
            tabulate([_escape(row) for row in rows(table, found, tasks)], heads, "github", disable_numparse=True),
            legend,
            "\n".join(f"- [{mark}] {FOOTNOTES[mark]}." for mark in marks),
            "\n".join(sources),
        ]
        texts[f"{name}.md"] = "\n\n".join(part for part in parts if part) + "\n"
    return texts


def _escape(row: Sequence[str]) -> list[str]:
    return [cell.replace(" | ", " / ") for cell in row]


def write(results: Path, preset: str) -> list[Path]:
    """Write both tables and figures 2 to 4 to `RESULTS/PRESET/infor-coef/` and return their paths."""
    from benchmark.reports.infor_coef.figures import draw

    found, records = collect(results, preset)
    folder = results / preset / "infor-coef"
    paths = []
    for name, text in markdown(preset, found, records).items():
        write_atomically(folder / name, text)
        paths.append(folder / name)
    return paths + draw(folder, found, paper_tasks(preset))
