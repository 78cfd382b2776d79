"""Run the cells of a grid: here, on several ranks, or on a cluster; then show the table."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.commands.options import echo
from benchmark.commands.selection import Selection
from benchmark.grid.cells import Cell
from benchmark.records.store import Store
from benchmark.runs.clusters.base import Cluster, Resources
from vtrans import ranks
from vtrans.errors import RunFailed, SuiteError, did_you_mean

if TYPE_CHECKING:
    from benchmark.runs.progress import GridProgress
    from benchmark.runs.timing import Estimate


LAUNCHERS = ("local", "ray", "slurm")


@dataclass(frozen=True)
class How:
    """How cells are run, none of which changes a result.

    Attributes:
        data_dir: what `--data-dir` names.
        teacher_cache: GiB for outputs of teachers.
        jobs: processes of this machine that share the cells.
        timed: whether latency is measured.
        ranks: processes that train each model together.
        stage, offload, checkpointing: how those hold it, as of `Sharding`.
        launcher: who runs the cells: `local`, `ray` or `slurm`.
        cluster: address of a Ray cluster, partition of Slurm, or `local` for processes in place of Slurm's jobs.
        resources: of each cell there.
    """

    data_dir: Path | None = None
    teacher_cache: float = 8.0
    jobs: int = 1
    timed: bool = True
    ranks: int = 1
    stage: int = 0
    offload: str = ""
    checkpointing: bool = False
    launcher: str = "local"
    cluster: str = ""
    resources: Resources = Resources()


def run(selection: Selection, how: How) -> int:
    """Run what has no complete record, grid by grid, and show the tables; return an exit code.

    Raises:
        SuiteError: bad input.
        RunFailed, RunCancelled: as of `benchmark.runs.runner.run_cells`; what is done is shown before.
    """
    check_launcher(how)
    if how.launcher == "local" and how.ranks > 1 and ranks.launched_count() == 1:
        from benchmark.runs.together import launch

        return launch(how.ranks)
    if ranks.launched_count() > 1:
        from vtrans.training.zero import join

        join()
    failures = []
    for store, cells in selection.grids():
        store.cache_gib = how.teacher_cache
        states = ranks.broadcast([store.state(cell) for cell in cells])
        todo = [cell for cell, state in zip(cells, states, strict=True) if state != "done"]
        if not todo:
            echo(f"all {len(cells)} cells are done; nothing to train")
        try:
            run_grid(todo, store, how)
        except SuiteError as error:
            goes_on = selection.axis and isinstance(error, RunFailed) and ranks.launched_count() == 1
            if not goes_on:  # the other cells of an axis are run all the same, unless ranks are out of step
                if not selection.axis and store.complete(cells):
                    show(selection)
                raise
            failures.append(error)
    try:
        show(selection)
    except SuiteError as error:  # nothing to show: why stands in the first failure
        raise failures[0] if failures else error from None
    if failures:
        raise failures[0]
    return 0


def show(selection: Selection) -> None:
    """Show the tables, as the first rank."""
    if ranks.launched_rank() == 0:
        selection.show()


def run_grid(todo: list[Cell], store: Store, how: How) -> None:
    """Run cells, say before what they take, and after which ones another process has."""
    from benchmark.common.files import check_writable
    from benchmark.runs.jobs import check_jobs, run_here
    from benchmark.runs.progress import GridProgress

    if how.launcher == "local":
        check_jobs(how.jobs)
    if not todo:
        return
    echo(f"{len(todo)} cells to run; records go to {store.runs}")
    check_writable(store.runs)
    watch = GridProgress([cell.name for cell in todo], work=store.folder / "work")

    def announce(found: "Estimate") -> None:
        """Print what the grid will take, before it trains."""
        echo("\n".join(found.lines()))
        watch.expect({cell.name: seconds for cell, seconds in found.cells.items()})

    if how.launcher != "local":
        run_elsewhere(todo, store, how)
    elif ranks.launched_count() > 1 or how.stage or how.offload or how.checkpointing:
        run_together(todo, store, how, watch)
    else:
        run_here(todo, store, how.data_dir, how.jobs, watch, announce, how.timed)
    taken = len(todo) - len(store.complete(todo))
    if taken:
        echo(f"{taken} cells are being run by another process")


def check_launcher(how: How) -> None:
    """Raise `SuiteError` for an unknown launcher, or options that the chosen one has no use for."""
    if how.launcher not in LAUNCHERS:
        raise did_you_mean("launcher", how.launcher, list(LAUNCHERS))
    if how.launcher == "local" and (how.cluster or how.resources != Resources()):
        raise SuiteError(
            "--cluster, --cores, --gpus and --hours are for cells elsewhere", "give --launcher ray or slurm"
        )
    if how.launcher != "local" and how.ranks == 1 and (how.stage or how.offload or how.checkpointing):
        raise SuiteError(
            "--zero-stage, --offload and --gradient-checkpointing are for several ranks", "give --ranks N, too"
        )
    if how.launcher != "local" and ranks.launched_count() > 1:
        raise SuiteError("one process sends cells, and several were started", "start it without torchrun")


def run_elsewhere(todo: list[Cell], store: Store, how: How) -> None:
    """Run cells on a cluster, which shares the results folder."""
    from dataclasses import replace

    from benchmark.records.provenance import source_digest
    from benchmark.runs.clusters.grid import run_on_cluster
    from benchmark.runs.clusters.job import Job
    from benchmark.runs.jobs import identity
    from benchmark.runs.runner import check_sources
    from benchmark.tasks.kind import kind_of
    from benchmark.tasks.registry import get_task

    cluster = connect(store, how)
    folder = how.data_dir.resolve() if how.data_dir else None
    check_sources(todo, folder)
    data: dict[tuple[str, str], str] = {}

    def job(cell: Cell) -> Job:
        """The cell with all that a worker needs to know."""
        task = get_task(cell.task)
        place = folder if task.source.takes_folder else None
        if (known := (cell.task, cell.split)) not in data:
            data[known] = kind_of(task).load(task, place, cell.split).digest
        places = (store.root.resolve(), store.cache_gib, place, how.timed)
        made = Job(identity(cell), *places, source_digest(), data[known], how.resources.cores, how.resources.hours)
        return replace(made, ranks=how.ranks, stage=how.stage, offload=how.offload, checkpointing=how.checkpointing)

    run_on_cluster(todo, store, cluster, job, how.jobs if how.jobs > 1 else 0)


def connect(store: Store, how: How) -> "Cluster":
    """The cluster that was asked for."""
    if how.launcher == "ray":
        from benchmark.runs.clusters.ray_cluster import RayCluster

        return RayCluster(how.cluster, how.resources)
    from benchmark.runs.clusters.slurm_cluster import SlurmCluster

    return SlurmCluster(how.cluster, how.resources, store.folder / "work" / "slurm")


def run_together(todo: list[Cell], store: Store, how: How, watch: "GridProgress") -> None:
    """Run cells on the ranks that a launcher has started.

    Raises:
        SuiteError: there are none, or others than `--ranks` says.
    """
    from benchmark.runs.together import run_on_ranks, sharding_for
    from vtrans.training.zero import engine_of

    if how.jobs > 1:
        raise SuiteError("--jobs and ranks share the same cores", "give --jobs or --ranks")
    if how.ranks not in (1, ranks.launched_count()):
        raise SuiteError(
            f"{ranks.launched_count()} ranks were started, not {how.ranks}", "leave --ranks out under a launcher"
        )
    engine = engine_of(sharding_for(how.stage, how.offload, how.checkpointing))
    run_on_ranks(todo, store, how.data_dir, engine, watch, how.timed)
