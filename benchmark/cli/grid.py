"""Commands over grids of runs: what they would take, running, timing and watching them."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.app import app
from benchmark.commands.options import (
    Again,
    AxisName,
    CacheSize,
    CellCores,
    CellGpus,
    CellHours,
    Checkpointing,
    ClusterName,
    DataDir,
    ForcedPrecision,
    Jobs,
    Launcher,
    Methods,
    Offload,
    PresetName,
    RankCount,
    Results,
    Seeds,
    SetOption,
    Split,
    Stage,
    Suite,
    Tasks,
    Timed,
    echo,
    warn_if_emulated,
)


@app.command()
def plan(
    suite: Suite,
    preset: PresetName = "quick",
    methods: Methods = None,
    tasks: Tasks = None,
    seeds: Seeds = None,
    results: Results = Path("results"),
    split: Split = "validation",
    settings: SetOption = None,
    tflops: Annotated[float, typer.Option(min=0, help="throughput of the estimate; 0: the preset's")] = 0.0,
    axis: AxisName = "",
) -> None:
    """Show every cell with its state (done, missing, stale, failed, cancelled) and what those to run would take."""
    from benchmark.commands.selection import Selection

    chosen = Selection(suite, preset, results, methods, tasks, seeds, split, settings=settings or (), axis=axis)
    found = chosen.grids()
    cells = [cell for _, each in found for cell in each]
    states = [store.state(cell) for store, each in found for cell in each]
    for cell, state in zip(cells, states, strict=True):
        echo(f"{state:9} {cell.key} {cell.name}")
    counts = {state: states.count(state) for state in dict.fromkeys(states)}
    echo(f"{len(cells)} cells: " + ", ".join(f"{count} {state}" for state, count in counts.items()))
    todo = [cell for cell, state in zip(cells, states, strict=True) if state != "done"]
    if todo:
        from benchmark.grid import cost
        from benchmark.records.store import with_missing

        scale = todo[0].preset
        needed = [c for store, each in found for c in with_missing([c for c in each if c in todo], store)]
        if more := [cell for cell in dict.fromkeys(needed) if cell not in todo]:
            echo(f"trained before them, because weights are missing: {', '.join(cell.name for cell in more)}")
        todo = [*more, *todo]
        echo("\n".join(cost.lines(cost.cost(todo), preset, tflops or scale.tflops, scale.gpu)))
        if scale.gpu:
            from benchmark.runs.memory import available

            echo("\n".join(cost.memory_lines(todo, available())))


@app.command()
def run(
    suite: Suite,
    preset: PresetName = "quick",
    methods: Methods = None,
    tasks: Tasks = None,
    seeds: Seeds = None,
    data_dir: DataDir = None,
    results: Results = Path("results"),
    split: Split = "validation",
    precision: ForcedPrecision = "auto",
    settings: SetOption = None,
    teacher_cache: CacheSize = 8.0,
    jobs: Jobs = 1,
    timed: Timed = True,
    axis: AxisName = "",
    ranks: RankCount = 1,
    stage: Stage = 0,
    offload: Offload = "",
    checkpointing: Checkpointing = False,
    launcher: Launcher = "local",
    cluster: ClusterName = "",
    cores: CellCores = 1,
    gpus: CellGpus = 0,
    hours: CellHours = 0.0,
) -> None:
    """Run the cells that have no complete record, then write and print the table."""
    from benchmark.commands import run as command
    from benchmark.commands.selection import Selection
    from benchmark.runs.clusters.base import Resources

    warn_if_emulated(precision)
    sharding, resources = (ranks, stage, offload, checkpointing), Resources(cores, gpus, hours)
    how = command.How(data_dir, teacher_cache, jobs, timed, *sharding, launcher, cluster, resources)
    chosen = Selection(suite, preset, results, methods, tasks, seeds, split, precision, settings or (), axis)
    if code := command.run(chosen, how):
        raise typer.Exit(code)


@app.command(name="time")
def time_(
    suite: Suite,
    preset: PresetName = "quick",
    methods: Methods = None,
    tasks: Tasks = None,
    seeds: Seeds = None,
    data_dir: DataDir = None,
    results: Results = Path("results"),
    split: Split = "validation",
    again: Again = False,
) -> None:
    """Measure here the speeds that records made with --no-latency lack; nothing else should run meanwhile."""
    from benchmark.commands.selection import Selection
    from benchmark.reports.tables import recorded_cells
    from benchmark.runs.later import time_records, to_be_timed
    from benchmark.runs.progress import GridProgress

    chosen = Selection(suite, preset, results, methods, tasks, seeds, split)
    store, cells = chosen.grid()
    if not (methods or tasks or seeds):
        cells = recorded_cells(store, suite, preset, split)
    todo = to_be_timed(cells, store, again)
    echo(f"{len(todo)} records to be timed")
    if todo:
        time_records(cells, store, data_dir, GridProgress([cell.name for cell in todo]), again)
        chosen.show()


@app.command()
def cache(
    suite: Suite,
    preset: PresetName = "quick",
    results: Results = Path("results"),
    remove: Annotated[bool, typer.Option("--remove", help="delete these outputs")] = False,
) -> None:
    """Show what the kept outputs of teachers take on disk, and remove them if asked to; runs make them again."""
    from benchmark.grid.suites import get_preset
    from benchmark.records.store import Store

    get_preset(preset, suite)
    found = Store(results, suite, preset).teacher_cache
    assert found is not None, "a store without a size of its own keeps outputs"
    sizes = found.entries()
    echo(f"{len(sizes)} sets of teacher outputs, {sum(sizes.values()) / 2**30:.2f} GiB, in {found.folder}")
    if remove:
        found.clear()
        echo("removed")


@app.command()
def watch(
    preset: PresetName = "quick",
    results: Results = Path("results"),
    every: Annotated[float, typer.Option(min=0.5, help="seconds between two looks")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="look once and end")] = False,
    page: Annotated[bool, typer.Option("--page", help="write the page of the preset anew each time, too")] = False,
) -> None:
    """Watch a grid that another terminal runs: cells by state, and the curves of those that run now."""
    from benchmark.commands import watch as command
    from benchmark.grid.suites import get_preset

    get_preset(preset)
    if once:
        command.show(results, preset)
        return
    with suppress(KeyboardInterrupt):
        command.watch(results, preset, every, page)
