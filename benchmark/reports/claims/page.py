"""The page of claims: a table of verdicts, then each claim with its source, its figures and its command."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from benchmark.common.files import write_atomically
from benchmark.reports.claims.commands import RESULTS, commands
from benchmark.reports.claims.quantities import HEADS, PLANNED, TIMED
from benchmark.reports.claims.verdicts import LEVEL, Comparison, Judged
from benchmark.reports.rows import MISSING
from benchmark.statistics.intervals import p_text

ABOUT = f"""\
What the records of this folder say of what papers say:

- *Found* has an interval of 95 %: of scores over seeds and examples where predictions are kept, else over seeds; of
  correlations of heads over seeds and heads; of any other number over seeds.
- p is two-sided, for the null hypothesis that the number equals the bound. It is corrected for all comparisons on this
  page that have one (Benjamini and Hochberg), those of scores and heads among themselves, those of counts and times
  among themselves.
- Where the corrected p is below {LEVEL:g}, the side of the bound decides. Else the comparison is *inconclusive*.
- One seed decides nothing. A count or time that is the same in all seeds has no p: its side decides.
- *Holds by construction* and *fails by construction* are no evidence: the number follows from schedules, or from how
  rows are made and counted.
- A claim needs all of its comparisons: one that fails contradicts it, one that is inconclusive leaves it open. A
  condition of several tasks, or of their mean, is judged on those that were run.
- No verdict is one on the paper's own models. *Contradicted* means: not reproduced in this setting. *Differs here* says
  what the setting is."""


def write(judged: Sequence[Judged], folder: Path, *about: str) -> Path:
    """Write `claims.md`, or `claims-ABOUT.md` where it is not about all that the suite declares; return its path."""
    path = folder / f"{'-'.join(['claims', *about])}.md"
    write_atomically(path, markdown(judged, folder))
    return path


def markdown(judged: Sequence[Judged], root: Path = RESULTS) -> str:
    """The page, of claims on the records of a results folder."""
    rows = [
        [*map(_cell, (j.claim.id, j.claim.paper.split(" (")[0], j.claim.statement)), f"**{j.verdict}**"] for j in judged
    ]
    verdicts = [j.verdict for j in judged]
    counts = ", ".join(f"{verdicts.count(each)} {each}" for each in dict.fromkeys(sorted(verdicts)))
    head = tabulate(rows, ["claim", "paper", "statement", "verdict"], "github", disable_numparse=True)
    return (
        "\n\n".join(
            [
                "# Claims",
                f"{len(judged)} claim{'s' * (len(judged) > 1)}: {counts}.",
                ABOUT,
                head,
                *(_section(each, root) for each in judged),
            ]
        )
        + "\n"
    )


def _cell(text: str) -> str:
    """Text inside a table, where a bar would begin another cell, and a line break another row."""
    return " ".join(text.split()).replace("|", "\\|")


def _section(judged: Judged, root: Path) -> str:
    claim = judged.claim
    heads = ["comparison", "preset", "task", "found [95 %]", "n", "p, corrected", "verdict"]
    rows = [_row(each) for each in judged.comparisons]
    parts = [
        f"## {claim.id}: {judged.verdict}",
        f"{claim.statement} {claim.paper}, {claim.where}. Differs here: {claim.differs}.",
        tabulate(rows, heads, "github", disable_numparse=True),
        *(f"To be run: `{command}`, {hours:.1f} machine-hours." for command, hours in commands(judged.missing, root)),
        *_unmeasured(judged),
    ]
    return "\n\n".join(parts)


def _unmeasured(judged: Judged) -> list[str]:
    """What to do about rows that were run and lack the number, and about those that a preset does not have."""
    found = []
    for each in judged.comparisons:
        if each.found is None and not each.missing:
            found.append(_remedy(each))
    return list(dict.fromkeys(found))


def _remedy(each: Comparison) -> str:
    if not each.records:
        return f"No record has this: preset {each.preset} lacks the task {each.task}, or the row says nothing of it."
    if each.condition.quantity in HEADS:
        return f"To be measured: `vtrans-bench probe {shlex.join(map(_near, each.records))}`."
    if each.condition.quantity in TIMED:
        return "Rows were run that lack latencies, or share no seed: `vtrans-bench time` adds latencies."
    return "Rows were run that lack the number, or share no seed; or one of them has no record of this task."


def _near(path: Path) -> str:
    """A path, from the working folder where it lies inside."""
    found = path.resolve()
    return str(found.relative_to(Path.cwd()) if found.is_relative_to(Path.cwd()) else path)


def _row(each: Comparison) -> list[str]:
    found = each.found
    digits = 1 if each.condition.quantity == "metric" and each.condition.relation == "difference" else 3
    value = MISSING if found is None else found.text(digits, sign=bool(each.condition.against) and digits == 1)
    p = MISSING if each.p is None else p_text(each.p)
    return [each.condition.text(), each.preset, each.task, value, _n(each), p, each.verdict]


def sentence(each: Comparison) -> str:
    """A comparison as one line of text."""
    text, preset, task, value, n, p, verdict = _row(each)
    return f"{text}, {task} of {preset}: {value} ({n}; p {p}): {verdict}"


def _n(each: Comparison) -> str:
    if each.found is None:
        return MISSING
    if each.condition.quantity in PLANNED:
        return "schedules"
    seeds = f"{each.found.seeds} seeds" if each.found.seeds > 1 else "n = 1"
    units = "heads" if each.condition.quantity in HEADS else "examples"
    return f"{seeds}, {each.found.examples} {units}" if each.found.examples else seeds
