"""The page as one file that needs no network: its text, its data, its script and the library that draws."""

import json
import re
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmark.common.files import write_atomically
from benchmark.grid.axes import AXES as ABLATIONS
from benchmark.grid.suites import get_preset
from benchmark.reports import axes
from benchmark.reports.claims import declared, page, verdicts
from benchmark.reports.differences import metric_of
from benchmark.reports.figures import charts
from benchmark.reports.page import points, summary
from benchmark.reports.page.gather import Contents, gather, warnings_of_records
from benchmark.reports.rows import MISSING
from benchmark.runs.curves import running
from benchmark.runs.progress import duration
from vtrans.errors import SuiteError

FIGURE_METHODS = ("dense", "random", "magnitude", "CoFi", "VTrans", "Fisher-recovered")


def write(root: Path, preset: str) -> list[Path]:
    """Write `report.html`, `summary.md` and, for tasks of the suite `glue`, `figures/pareto-TASK`.

    A figure is SVG, PDF, and the Vega-Lite specification, data in it, for one of the reader's own.

    Raises:
        SuiteError: nothing of the preset was run.
    """
    contents = gather(root, preset)
    folder = root / preset
    paths = [folder / "report.html", folder / "summary.md"]
    write_atomically(paths[0], html(contents, root))
    write_atomically(paths[1], summary.markdown(contents))
    for name, spec in pareto_figures(contents).items():
        paths += charts.write_printed(folder / "figures", name, spec)
        paths.append(folder / "figures" / f"{name}.json")
        write_atomically(paths[-1], json.dumps(spec, indent=1) + "\n")
    return paths


def pareto_figures(contents: Contents) -> dict[str, dict[str, Any]]:
    """Specifications of figures for papers by their names: score against encoder parameters, of tasks of `glue`."""
    found = dict[str, dict[str, Any]]()
    for key, about in contents.tasks.items():
        suite, task = key.split("/")
        own = points.pareto_points(contents, suite, task, "encoder", FIGURE_METHODS) if suite == "glue" else []
        if len(own) < 2:
            continue
        methods = [method for method in FIGURE_METHODS if any(p["method"] == method for p in own)]
        found[f"pareto-{task}"] = charts.pareto(own, methods, points.AXES["encoder"], about["metric"])
    return found


def html(contents: Contents, root: Path) -> str:
    """The page."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    raw = environment.from_string(_text("template.html"))
    with warnings_of_records(contents.problems):
        judged, found = claims(root, contents.preset), sweeps(root, contents.preset)
    data = {"rows": contents.rows, "tasks": contents.tasks, "figures": figures(contents), "sweeps": found}
    verdict = [claim["verdict"] for claim in judged]
    return raw.render(
        contents=contents,
        summary=_summary(contents),
        answers=answers(contents),
        marks=summary.MARKS,
        claims=judged,
        counts=", ".join(f"{verdict.count(each)} {each}" for each in dict.fromkeys(sorted(verdict))),
        axes=points.AXES,
        sweeps=found,
        running=live(root, contents.preset),
        known_axes=", ".join(ABLATIONS),
        css=_safe(_text("page.css")),
        script=_safe(_text("page.js")),
        library=_safe(charts.library()),
        data=_safe(json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")),
    )


def live(root: Path, preset: str) -> list[str]:
    """What runs now, one line each."""
    cells = [each for folder in sorted((root / preset).glob("*/work")) for each in running(folder)]
    lines = [f"{each['cell']}: {each['stage']}, step {each['step']} of {each['total']}" for each in cells]
    ends = [
        f"; {duration(max(0.0, each['end'] - time.time()))} of the grid left" if each["end"] else "" for each in cells
    ]
    return [line + end for line, end in zip(lines, ends, strict=True)]


def _text(name: str) -> str:
    return files("benchmark.reports.page").joinpath(name).read_text(encoding="utf-8")


def _safe(text: str) -> Any:
    """Text that stands in a script or style element as it is: nothing in it may end that element."""
    from markupsafe import Markup

    return Markup(re.sub(r"<(?=/(script|style)|!--)", r"\\x3c", text, flags=re.IGNORECASE))


def _summary(contents: Contents) -> str:
    suite = next(iter(contents.tasks)).split("/")[0]
    text = get_preset(contents.preset, suite).summary
    return text[:1].upper() + text[1:]


def figures(contents: Contents) -> dict[str, Any]:
    """The figures that the page's script fills; `__X__` and `__Y__` stand for titles."""
    methods = points.methods_of(contents)
    return {
        "pareto": charts.pareto([], methods, "__X__", "__Y__"),
        "lines": charts.lines([], methods, "layer", "tokens left, %"),
        "curves": charts.curves([], "step", "sparsity, %"),
        "heads": charts.heads([]),
        "widths": charts.widths([]),
        "costs": charts.costs([], "training, in fine-tunings of the dense model (log)"),
        "sweep": charts.sweep([], "__X__", "__Y__"),
    }


def answers(contents: Contents) -> list[dict[str, str]]:
    """Lines of the first table."""
    rows = {(row["suite"], row["task"], row["row"]): row for row in contents.rows}
    found = []
    for answer in contents.answers:
        row = rows[answer["suite"], answer["task"], answer["row"]]
        found.append(
            {
                "task": f"{answer['suite']}/{answer['task']}",
                "size": f"{answer['size']:g}",
                "row": row["row"],
                "score": row["score_text"],
                "below": row["below_text"],
                "macs": _over(row["macs"]),
                "time": _over(row["time"]),
                "rows": str(answer["others"] + 1),
                "ties": ", ".join(answer["ties"]) or MISSING,
            }
        )
    return found


def _over(left: float | None) -> str:
    return MISSING if left is None else f"{100 / left:.1f} ×"


def claims(root: Path, preset: str) -> list[dict[str, Any]]:
    """Claims with a verdict under this preset; none where no claim's rows were run."""
    try:
        judged = verdicts.judge(declared.load(), root, preset)
    except SuiteError:
        return []
    return [
        {
            "verdict": each.verdict,
            "statement": each.claim.statement,
            "paper": f"{each.claim.paper}, {each.claim.where}",
            "differs": each.claim.differs,
            "comparisons": [page.sentence(c) for c in each.comparisons if c.found],
        }
        for each in judged
        if each.verdict != "not run"
    ]


def sweeps(root: Path, preset: str) -> list[dict[str, Any]]:
    """Ablation axes that have records, one entry each axis and task."""
    found = []
    names = [path.name for path in (root / preset / "ablations" / "runs").glob("*.json")]
    for name, axis in ABLATIONS.items():
        varied = axis.rows(plain=False)
        if not any(f"--{row}--" in each for each in names for row in varied):
            continue  # keys of all its cells are dear to work out
        lines = axes.lines(axis, root, preset)
        for task in dict.fromkeys(line.task for line in lines):
            values = axes.sweep_points(lines, task)
            text = "; ".join(f"{p['group']}, {p['label']}: {p['y']:.1f}" for p in values)
            metric = metric_of(task)
            entry = {"name": name, "summary": axis.summary, "task": task, "metric": metric, "points": values}
            found.append({**entry, "text": text})
    return found
