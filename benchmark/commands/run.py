"""Run the cells of a grid: here, on several ranks, or on a cluster; then show the table."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.commands.options import echo
from benchmark.commands.selection import Selection
from benchmark.grid.cells import Cell
from benchmark.records.store import Store
from vtrans import ranks
from vtrans.errors import RunFailed, SuiteError

if TYPE_CHECKING:
    from benchmark.runs.progress import GridProgress
    from benchmark.runs.timing import Estimate


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
    """

    data_dir: Path | None = None
    teacher_cache: float = 8.0
    jobs: int = 1
    timed: bool = True
    ranks: int = 1
    stage: int = 0
    offload: str = ""
    checkpointing: bool = False


def run(selection: Selection, how: How) -> int:
    """Run what has no complete record, grid by grid, and show the tables; return an exit code.

    Raises:
        SuiteError: bad input.
        RunFailed, RunCancelled: as of `benchmark.runs.runner.run_cells`; what is done is shown before.
    """
    if how.ranks > 1 and ranks.launched() == 1:
        from benchmark.runs.together import launch

        return launch(how.ranks)
    if ranks.launched() > 1:
        from vtrans.training.zero import join

        join()
    failures = []
    for store, cells in selection.grids():
        store.cache_gib = how.teacher_cache
        states = ranks.agreed([store.state(cell) for cell in cells])
        todo = [cell for cell, state in zip(cells, states, strict=True) if state != "done"]
        if not todo:
            echo(f"all {len(cells)} cells are done; nothing to train")
        try:
            run_grid(todo, store, how)
        except SuiteError as error:
            if not (selection.axis and isinstance(error, RunFailed)):  # the other cells of an axis are run all the same
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
    if ranks.number() == 0:
        selection.show()


def run_grid(todo: list[Cell], store: Store, how: How) -> None:
    """Run cells, say before what they take, and after which ones another process has."""
    from benchmark.common.files import check_writable
    from benchmark.runs.jobs import check_jobs, run_here
    from benchmark.runs.progress import GridProgress

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

    if ranks.launched() > 1 or how.stage or how.offload or how.checkpointing:
        run_together(todo, store, how, watch)
    else:
        run_here(todo, store, how.data_dir, how.jobs, watch, announce, how.timed)
    taken = len(todo) - len(store.complete(todo))
    if taken:
        echo(f"{taken} cells are being run by another process")


def run_together(todo: list[Cell], store: Store, how: How, watch: "GridProgress") -> None:
    """Run cells on the ranks that a launcher has started.

    Raises:
        SuiteError: there are none, or others than `--ranks` says.
    """
    from benchmark.runs.together import run_on_ranks, sharding_for
    from vtrans.training.zero import engine_of

    if how.jobs > 1:
        raise SuiteError("--jobs and ranks share the same cores", "give --jobs or --ranks")
    if how.ranks not in (1, ranks.launched()):
        raise SuiteError(
            f"{ranks.launched()} ranks were started, not {how.ranks}", "leave --ranks out under a launcher"
        )
    engine = engine_of(sharding_for(how.stage, how.offload, how.checkpointing))
    run_on_ranks(todo, store, how.data_dir, engine, watch, how.timed)
