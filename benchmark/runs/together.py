"""A grid on several ranks: all of them run one cell after the other, each its part of it."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmark.grid.cells import Cell
from benchmark.grid.sharded import estimate
from benchmark.models.registry import get_model
from benchmark.records.provenance import code
from benchmark.records.store import Store
from benchmark.runs.memory import available, check_memory_fits
from benchmark.runs.runner import check_inputs, check_sources, held, run_cell
from benchmark.runs.task_context import Contexts, TaskContext, Watch
from vtrans import ranks
from vtrans.errors import RunCancelled, RunFailed, SuiteError
from vtrans.settings import Sharding
from vtrans.training.engine import Engine


def launch(count: int) -> int:
    """Start this command again as `count` ranks of this machine, by torch's launcher; return its exit code.

    One that dies takes the others with it.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from benchmark.runs.jobs import usable_cores

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // count)))
    config = LaunchConfig(
        *(1, 1, count), run_id="vtrans-bench", rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0
    )
    try:
        elastic_launch(config, sys.executable)("-m", "benchmark", *sys.argv[1:])
    except SignalException:
        raise RunCancelled("stopped", "run the same command to go on") from None
    except ChildFailedError as error:
        rank, first = error.get_first_failure()
        if first.exitcode < 0:
            cause = f"rank {rank} was killed (signal {-first.exitcode})"
            raise RunFailed(cause, "the same command goes on from the checkpoint") from None
        return int(first.exitcode)
    return 0


def run_on_ranks(
    cells: Sequence[Cell], store: Store, folder: Path | None, engine: Engine, watch: Watch, timed: bool = True
) -> int:
    """Run the cells that have no complete record; return how many ran.

    After the first one that fails, all ranks end: what another one is at is not known then.

    Raises:
        SuiteError: a cell cannot run so, or ranks run other code or see other data.
        RunFailed: a cell failed.
        RunCancelled: Ctrl-C or SIGTERM.
    """
    for cell in cells:
        check_runs(cell, engine)
        check_room(cell, engine)
    check_sources(cells, folder)
    contexts = Contexts(folder, store.folder / "work", watch, timed, engine)
    ran = 0
    for cell in cells:
        with held(store.work(cell), wait=False) as mine:
            if not mine or ranks.broadcast(bool(store.complete([cell]))):
                continue
            context = contexts.of(cell)
            check_same(context)
            check_inputs(cell, store, context)
            with watch(cell.name) as report:
                run_cell(cell, store, context, None if ranks.rank() else report)
            ran += 1
    return ran


def check_runs(cell: Cell, engine: Engine) -> None:
    """Raise `SuiteError` where an engine cannot train a cell."""
    from vtrans.training.precision import DTYPES
    from vtrans.training.zero import weights_type

    budget = cell.method.target()
    if budget and budget.quantity.startswith("latency"):
        raise SuiteError(
            f"{cell.row} has a target in latency, which ranks disturb", "run it in one process, without a launcher"
        )
    if engine.frozen_backbone and cell.method.stages() and not cell.method.frozen_backbone:
        raise SuiteError(f"{cell.row} trains weights, which stays on each rank whole", "give --zero-stage 0")
    if engine.frozen_backbone and cell.parsed.precision == "fp32" and weights_type() != DTYPES["fp32"]:
        raise SuiteError(
            "DeepSpeed holds weights in bf16 on this GPU", "leave out --precision fp32, or give --zero-stage 0"
        )


def check_room(cell: Cell, engine: Engine) -> None:
    """Raise `SuiteError` where a rank has less memory than a cell under DeepSpeed needs by the estimate."""
    if not (engine.frozen_backbone and engine.sharding and cell.method.frozen_backbone):
        return
    import torch

    from vtrans.training.zero import weights_type

    on_host, prune, sharding = not torch.cuda.is_available(), cell.preset.schedules(cell.task).prune, engine.sharding
    batch = -(-prune.batch // (prune.accumulate * ranks.world_size()))
    shape, length = get_model(cell.preset.model).shape, cell.preset.max_length
    need = estimate(shape, sharding, ranks.world_size(), batch, length, weights_type().itemsize, on_host)
    ranks.raise_together(lambda: check_memory_fits(need, available(), sharding))


def check_same(context: TaskContext) -> None:
    """Raise `SuiteError` where ranks run other code, or see another model or other data."""
    for name, value in (
        ("code", code()),
        ("data", context.data.digest),
        ("models", context.model_digest),
    ):
        found = ranks.all_gather(value)
        if len(set(found)) > 1:
            raise SuiteError(f"ranks have different {name}", "install the same on all machines, and share the folders")


def sharding_for(stage: int, offload: str, checkpointing: bool) -> Sharding | None:
    """How the ranks that a launcher has started hold models; None where there is one process.

    Raises:
        SuiteError: something is asked for that takes several ranks.
    """
    if ranks.launched_count() > 1:
        return Sharding(stage, offload, checkpointing)  # type: ignore[arg-type]
    if stage or offload or checkpointing:
        raise SuiteError(
            "--zero-stage, --offload and --gradient-checkpointing are for several ranks", "give --ranks N, too"
        )
    return None
