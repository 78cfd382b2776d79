"""Commands that read records and write what they say: tables, claims, pages."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.app import app
from benchmark.commands.options import AxisName, DataDir, Methods, PresetName, Results, Split, Suite, Tasks, echo
from vtrans.errors import SuiteError


@app.command()
def tables(
    suite: Suite,
    preset: PresetName = "quick",
    results: Results = Path("results"),
    split: Split = "validation",
    axis: AxisName = "",
) -> None:
    """Build the tables from the complete records: markdown, CSV and LaTeX; or those of an ablation axis."""
    from benchmark.commands.selection import Selection

    chosen = Selection(suite, preset, results, split=split, axis=axis)
    chosen.grids()  # which raises for what there is not
    chosen.show()


@app.command()
def compare(
    suite: Suite,
    against: Annotated[
        str, typer.Option("--against", help="a row, or a method: then each row is compared with it at its own size")
    ],
    preset: PresetName = "quick",
    methods: Methods = None,
    tasks: Tasks = None,
    results: Results = Path("results"),
    split: Split = "validation",
) -> None:
    """Compare rows that have records with another row: differences with intervals, and p corrected for all of them."""
    from benchmark.commands.options import selected
    from benchmark.grid.suites import get_preset
    from benchmark.records.store import Store
    from benchmark.reports import compare as report

    store = Store(results, suite, get_preset(preset, suite).name)
    path = report.write(store, selected("methods", methods), against, selected("tasks", tasks), split)
    echo(path.read_text(encoding="utf-8"))
    echo(f"written: {path}")


@app.command()
def paper(
    name: Annotated[str, typer.Argument(help="paper whose tables and figures to write: infor-coef, vtrans")],
    preset: PresetName = "quick",
    results: Results = Path("results"),
) -> None:
    """Write a paper's tables and figures from the records, printed cells beside measured ones."""
    from benchmark.grid.suites import get_preset
    from benchmark.reports.infor_coef import tables as infor_coef
    from benchmark.reports.vtrans import tables as vtrans
    from vtrans.errors import did_you_mean

    papers = {"infor-coef": infor_coef, "vtrans": vtrans}
    if name not in papers:
        raise did_you_mean("paper", name, list(papers))
    paths = papers[name].write(results, get_preset(preset).name)
    echo(paths[0].read_text(encoding="utf-8"))
    echo("written: " + ", ".join(map(str, paths)))


@app.command()
def claims(
    preset: Annotated[str, typer.Option(help="preset whose records are asked; by default what each claim names")] = "",
    results: Results = Path("results"),
    file: Annotated[
        Path | None, typer.Option("--file", help="claims of your own, TOML, in the place of the suite's")
    ] = None,
) -> None:
    """Say of each claim what the records say: supported, contradicted, inconclusive, by construction, or not run."""
    from benchmark.grid.suites import get_preset
    from benchmark.reports.claims import declared, page, verdicts

    if preset:
        get_preset(preset)
    judged = verdicts.judge(declared.load(file) if file else declared.load(), results, preset)
    path = page.write(judged, results, *([file.stem] if file else []), *(["preset", preset] if preset else []))
    echo(path.read_text(encoding="utf-8"))
    echo(f"written: {path}")


@app.command()
def report(preset: PresetName = "quick", results: Results = Path("results")) -> None:
    """Write one page of all that a preset's records say, which needs no network, and its figures as SVG and PDF."""
    from benchmark.grid.suites import get_preset
    from benchmark.reports.page.write import write

    get_preset(preset)
    echo("written: " + ", ".join(map(str, write(results, preset))))


@app.command()
def probe(
    runs: Annotated[list[Path], typer.Argument(help="records of one pruned row, one per seed")],
    data_dir: DataDir = None,
) -> None:
    """Compare where kept and pruned heads of the dense model look: a table and a figure beside the records."""
    from benchmark.reports.attention.probe import probe
    from benchmark.runs.progress import progress

    with progress("probe") as report:
        paths = probe(runs, data_dir, report)
    echo(paths[0].read_text(encoding="utf-8"))
    echo("written: " + ", ".join(map(str, paths)))


@app.command()
def validate(results: Results = Path("results")) -> None:
    """Check every record under the results folder, and what was measured of it later, against schemas and digests."""
    from benchmark.records.attention import read_attention
    from benchmark.records.store import read_record
    from benchmark.records.timings import read_timing

    paths = sorted(results.glob("**/runs/*.json"))
    if not paths:
        raise SuiteError(f"no record under {results}", "name the folder with --results")
    aside = sorted(results.glob("**/runs/*.corrupt"))
    problems = [f"{path} was set aside as damaged; restore it, or remove it and run the cell again" for path in aside]
    checks: list[Callable[[], object]] = [partial(read_record, path) for path in paths]
    for folder, read in (("timings", read_timing), ("probe", read_attention)):  # beside the records, under their names
        for path in sorted(results.glob(f"**/{folder}/*.json")):
            record, key = path.parents[1] / "runs" / path.name, path.stem.rpartition("--")[2]
            checks.append(partial(read, record, key))
    for check in checks:
        try:
            check()
        except SuiteError as error:
            problems.append(str(error))
    for problem in problems:
        echo(problem)
    if problems:
        known = len(checks) + len(aside)
        raise SuiteError(f"{len(problems)} of {known} records are not valid", "see the lines above")
    echo(f"{len(paths)} records are valid")
