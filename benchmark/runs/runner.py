"""Run cells: teacher, method, measurement, record; whatever becomes of a cell, its record says it."""

import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.common.device import device
from benchmark.common.files import write_atomically
from benchmark.grid.cells import SCHEMA, Cell
from benchmark.models.registry import get_model
from benchmark.records.memory import PeakMemory
from benchmark.records.predictions import write_predictions
from benchmark.records.provenance import PARTS, code, hardware, now, provenance, source_digest, versions
from benchmark.records.schema import Data, Record
from benchmark.records.store import RETRY, Store
from benchmark.runs.curves import Curves, live_file
from benchmark.runs.facts import facts
from benchmark.runs.outcome import Measured, measure
from benchmark.runs.task_context import Contexts, TaskContext, Watch, no_watch
from benchmark.tasks.kind import kind_of
from benchmark.tasks.registry import get_task
from vtrans import ranks
from vtrans.errors import RunCancelled, RunFailed, SuiteError
from vtrans.locks import locked
from vtrans.methods.agnostic import move_encoder
from vtrans.methods.base import CompressionState, check_packages
from vtrans.methods.family import HANDOVER
from vtrans.saving.handover import FACTS
from vtrans.signals import cancelling, ending
from vtrans.teaching.teacher import Teacher

POLL = 0.5  # seconds between looks at what other processes have done
PRUNING = ("0-prune",)  # stages that a family of sizes shares

if TYPE_CHECKING:
    from torch import nn

    from benchmark.records.schema import Predictions
    from benchmark.runs.timing import Estimate
    from vtrans.training.engine import Engine
    from vtrans.training.loop import Report
    from vtrans.training.shared import SharedStages


def run_cell(cell: Cell, store: Store, context: TaskContext, report: "Report | None" = None) -> Record:
    """Run a cell and write its record, whatever becomes of it.

    Raises:
        RunFailed: the run broke; its `failed` record is written.
        RunCancelled: Ctrl-C or SIGTERM; its `cancelled` record is written.
    """
    started = now()
    code()
    source_digest()
    with cancelling():
        try:
            measured = _run(cell, store, context, report)
            outcome = measured.outcome
            if measured.predictions:
                kept = ranks.on_first_rank(lambda: _keep(measured, cell, store))
                outcome = outcome.model_copy(update={"predictions": kept})
        except BaseException as error:
            ending()
            failure = explain(error, store.work(cell))
            status = "cancelled" if isinstance(failure, RunCancelled) else "failed"
            _write(cell, store, _record(cell, context, started, status=status, error=str(failure)))
            raise failure from None
        ending()
        record = _record(cell, context, started, status="complete", outcome=outcome)
        _write(cell, store, record)
    return record


def _write(cell: Cell, store: Store, record: Record) -> None:
    """Write a record as the first rank; after a complete one, checkpoints have done their duty."""
    if ranks.rank():
        return
    store.write(cell, record)
    if record.status == "complete":
        for checkpoint in store.work(cell).glob("*.ckpt"):
            checkpoint.unlink()


def _keep(measured: Measured, cell: Cell, store: Store) -> "Predictions | None":
    if store.complete([cell]):  # a record that stays keeps its own
        return None
    return write_predictions(store.path(cell), measured.predictions)


def explain(error: BaseException, work: Path) -> SuiteError:
    """The error of a broken run as one line; the traceback of an unforeseen one goes to `WORK/traceback.txt`."""
    if isinstance(error, (RunFailed, RunCancelled)):
        return error
    if ranks.is_lost(error):
        return ranks.lost()
    if isinstance(error, KeyboardInterrupt):
        return RunCancelled("interrupted", "run the same command to go on")
    if isinstance(error, SuiteError):
        return RunFailed(*error.parts)
    first = str(error).splitlines()[0] if str(error) else ""
    cause = f"{type(error).__name__}: {first}"
    name = f"traceback-rank-{ranks.rank()}.txt" if ranks.rank() else "traceback.txt"
    if ranks.rank():  # the first one will only see that this one is gone
        sys.stderr.write(f"rank {ranks.rank()}: {cause}; see {work / name}\n")
    try:
        work.mkdir(parents=True, exist_ok=True)
        (work / name).write_text("".join(traceback.format_exception(error)))
    except OSError as full:
        return RunFailed(cause, f"free some space: its traceback could not be written ({full.strerror})")
    return RunFailed(cause, f"see {work / name}")


def _record(cell: Cell, context: TaskContext, started: str, **fields: Any) -> Record:
    data = context.data
    return Record(
        **_names(cell),
        data=Data(
            source=data.source,
            digest=data.digest,
            train_rows=context.kind.count(data.train, context.train),
            evaluation_rows=context.kind.count(data.evaluation, context.evaluation),
            split=data.split,
            caveat=data.caveat(context.task),
            label_check="; ".join(filter(None, (data.label_check, context.kind.remark(context.train)))),
        ),
        model={"name": cell.preset.model, "sha256": context.model_digest, "note": get_model(cell.preset.model).note},
        provenance=provenance(started),
        **fields,
    )


def unfinished_record(cell: Cell, started: str, status: Literal["failed", "cancelled"], error: str) -> Record:
    """The record of a run that came to nothing, and whose data and model are not at hand."""
    return Record(**_names(cell), status=status, error=error, provenance=provenance(started))


def _names(cell: Cell) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA,
        "key": cell.key,
        "suite": cell.suite,
        "preset": cell.preset.name,
        "task": cell.task,
        "row": cell.row,
        "seed": cell.seed,
        "config": cell.config,
    }


def _run(cell: Cell, store: Store, context: TaskContext, report: "Report | None") -> Measured:
    from vtrans.saving.card import write_card
    from vtrans.training.engine import LocalEngine
    from vtrans.training.loop import RunContext

    check_packages(cell.method)
    peak = PeakMemory()
    first, engine = ranks.rank() == 0, context.engine or LocalEngine()
    curves = Curves(cell.name, report, live_file(store.folder / "work") if first else None)
    folder, cache = store.work(cell), store.teacher_cache
    stages = shared(cell, store, context)
    run_context = RunContext(folder, curves, engine=engine, teacher_cache=cache, shared=stages)
    with curves.shown():
        teacher = starting_point(cell, store, context, report)
        state = CompressionState(teacher, context.train, cell.seed, run_context)
        if cell.below:
            ensure(cell.below, store, context, report, holds=f"{HANDOVER}/{FACTS}")
            state.handover = store.work(cell.below) / HANDOVER
        small = cell.method.compress(state)
    ranks.on_first_rank(lambda: save(small, context.tokenizer, folder / "model"))
    state.report |= {
        "curves": curves.completed(folder, state.report["seconds"]),
        "seconds": state.report["seconds"] | seconds_of_base(cell, store),
    }
    budget = cell.method.target() if cell.starts_dense else cell.base.method.target() or cell.method.target()
    teacher.release()
    dense = small if cell.is_dense else obtain(cell.teacher, store, context, report)
    measured = measure(budget, dense, small, context, state, peak)
    if first:
        write_card(small, folder / "model", facts(cell.row, context, measured.outcome))
    return measured


def shared(cell: Cell, store: Store, context: TaskContext) -> "SharedStages | None":
    """Where ended stages are kept for cells that begin with the same ones.

    None where nobody can tell what a stage depends on, or it lies outside: for methods of plug-ins, for targets in
    latency, which is measured in the run, and for sizes of a family, which start from a handover.
    """
    from benchmark.common.digests import weights_digest
    from vtrans.training.shared import SharedStages

    def start() -> dict[str, Any]:
        """Config, data and weights; code and packages; and what rounding depends on."""
        sharding = context.engine.sharding if context.engine else None
        return {
            **{name: value for name, value in cell.config.items() if name != "method"},
            "data": context.data.digest,
            "weights": [weights_digest(store.of(each).work(each) / "model") for each in (cell.teacher, cell.base)],
            "pretrained": context.model_digest,
            "code": source_digest(),
            "versions": versions(),
            "hardware": hardware(),
            "ranks": [ranks.launched_count(), str(sharding)],
        }

    budget = cell.method.target()
    by_latency = budget is not None and budget.quantity.startswith("latency")
    known = all(type(each.method).__module__.split(".")[0] in PARTS for each in (cell, cell.base))
    return SharedStages(store.folder / "work" / "stages", start) if known and not (by_latency or cell.below) else None


def save(model: "nn.Module", tokenizer: Any, folder: Path) -> None:
    """Write a model, with its tokenizer so that `evaluate` and users can load it."""
    from vtrans.saving.pruned import save_pruned

    save_pruned(model, folder)
    tokenizer.save_pretrained(folder)


def starting_point(cell: Cell, store: Store, context: TaskContext, report: "Report | None") -> Teacher:
    """What a row starts from, trained first where it has no weights: the dense model, or that of another row."""
    if cell.is_dense:
        return Teacher(load=lambda: context.pretrained(cell.seed))
    ensure(cell.teacher, store, context, report)
    ensure(cell.base, store, context, report)
    if context.engine and context.engine.frozen_backbone:
        return in_files(ensure(cell.base, store, context, report), context.engine)
    if cell.base.task == cell.task:
        return Teacher(load=lambda: obtain(cell.base, store, context, report))
    return Teacher(move_encoder(obtain(cell.base, store, context, report), context.pretrained(cell.seed)))  # from text


def in_files(folder: Path, engine: "Engine") -> Teacher:
    """The model of a folder, as an engine holds it."""
    from vtrans.saving.pruned import load_pruned

    return Teacher(load=lambda: engine.load(folder, load_pruned), folder=folder)


def seconds_of_base(cell: Cell, store: Store) -> dict[str, float]:
    """Seconds that the model cost which a cell starts from, by its row; empty where that is the dense one.

    Of one that was pruned on text, also those of the dense model with an MLM head. Of a family of sizes, those of
    pruning the sizes below, by row and stage: their recoveries are no part of this one.
    """
    if cell.below:
        record = store.read(cell.below)
        known = record.outcome.seconds if record and record.outcome else {}
        own = {f"{cell.below.row} {name}": value for name, value in known.items() if name in PRUNING}
        return {name: value for name, value in known.items() if name.endswith(tuple(f" {p}" for p in PRUNING))} | own
    if cell.starts_dense:
        return {}
    needed = [cell.base] if cell.base.task == cell.task else [cell.base.teacher, cell.base]
    records = {each: store.of(each).read(each) for each in needed}
    names = {each: each.row if each.task == cell.task else f"{each.task} {each.row}" for each in needed}
    return {names[c]: sum(r.outcome.seconds.values()) for c, r in records.items() if r and r.outcome}


def obtain(cell: Cell, store: Store, context: TaskContext, report: "Report | None") -> "nn.Module":
    """The model that other cells start from: loaded where its weights are kept, else trained, with its record."""
    from vtrans.saving.pruned import load_pruned

    return load_pruned(ensure(cell, store, context, report)).to(device())


def ensure(
    cell: Cell, store: Store, context: TaskContext, report: "Report | None", holds: str = "model/config.json"
) -> Path:
    """The folder of such a model, trained where it is not there: where the working folder does not hold a file."""
    store = store.of(cell)
    folder = store.work(cell) / "model"
    with held(store.work(cell)):
        if not ranks.on_first_rank((store.work(cell) / holds).exists):
            if cell.task != context.task.name:
                data = context.folder if get_task(cell.task).source.takes_folder else None
                loaded = TaskContext.load(cell, data, store.folder / "work", report)
                timed = loaded.latency if context.latency else ()
                context = replace(loaded, engine=context.engine, latency=timed)
            run_cell(cell, store, context, report)
    return folder


@contextmanager
def held(folder: Path, wait: bool = True) -> Iterator[bool]:
    """Hold a folder as the first rank, for all of them; see `vtrans.locks.locked`."""
    if ranks.rank():
        yield ranks.broadcast(False)
        return
    with locked(folder, wait) as mine:
        yield ranks.broadcast(mine)


def check_inputs(cell: Cell, store: Store, context: TaskContext) -> None:
    """Raise `SuiteError` where the cell was begun, or its teacher finished, on other data or another model.

    The work folder keeps the digests of the data and model that its checkpoints and weights come from.
    """
    digests, now = {"data": context.data.digest, "model": context.model_digest}, context.data.source
    for each in (cell, *cell.needed):
        if each.task != cell.task:
            continue
        note = store.of(each).work(each) / "inputs.json"
        record = store.of(each).read(each)
        known = json.loads(note.read_text()) if note.exists() else digests
        if record and record.data and record.model:
            known = {"data": record.data.digest, "model": record.model["sha256"]}
        if known != digests:
            before = f" ({record.data.source}; now {now})" if record and record.data else ""
            raise SuiteError(
                f"{each.name} in {store.folder} was made from other data or another model{before}",
                "give the same --data-dir and files, or another --results folder",
            )
    if ranks.rank() == 0:
        write_atomically(store.work(cell) / "inputs.json", json.dumps(digests) + "\n")


def run_cells(
    cells: list[Cell],
    store: Store,
    folder: Path | None,
    watch: Watch = no_watch,
    announce: "Callable[[Estimate], None] | None" = None,
    together: float = 0.0,
    timed: bool = True,
) -> int:
    """Run the cells that have no complete record, going on past failed ones; return how many ran.

    `watch` opens, for the name of a cell, the function that its steps are reported to. `announce` is told what the
    cells will take, by a few timed steps, before any of them trains. `together` is the time at which this and other
    processes began with them: a cell that starts from one which another process runs is then put off instead of waited
    for, and one that has failed since is not tried again. Latency is left out unless `timed`.

    Raises:
        RunFailed: at least one cell failed; the others are done.
        RunCancelled: Ctrl-C or SIGTERM.
    """
    return run_opened(cells, store, opened(cells, store, folder, watch, announce, timed), watch, together)


def run_opened(
    cells: Sequence[Cell], store: Store, contexts: Contexts, watch: Watch = no_watch, together: float = 0.0
) -> int:
    """As `run_cells`, in contexts that are there."""
    failures, ran = _run_all(cells, store, contexts, watch, together)
    if failures:
        raise RunFailed(f"{len(failures)} of {len(cells)} cells failed: {failures[0]}", RETRY)
    return ran


def opened(
    cells: Sequence[Cell],
    store: Store,
    folder: Path | None,
    watch: Watch,
    announce: "Callable[[Estimate], None] | None",
    timed: bool = True,
) -> Contexts:
    """The contexts of cells whose sources are there; tells what they will take where somebody asks."""
    check_sources(cells, folder)
    contexts = Contexts(folder, store.folder / "work", watch, timed)
    if announce:
        from benchmark.runs.timing import estimate

        announce(estimate(cells, store, {cell.task: contexts.of(cell) for cell in cells}))
    return contexts


def _run_all(
    cells: Sequence[Cell], store: Store, contexts: Contexts, watch: Watch, together: float
) -> tuple[list[str], int]:
    """Run cells in their order, those that wait for another process last; what failed, and how many ran."""
    failures, ran, todo = list[str](), 0, list(cells)
    while todo:
        waiting = []
        for cell in todo:
            if together and waits(cell, store):
                waiting.append(cell)
                continue
            with locked(store.work(cell), wait=False) as mine:
                if not mine or store.complete([cell]):  # another process has it, or has just ended it
                    continue
                if together and failed_since(cell, store, together):
                    continue
                check_inputs(cell, store, contexts.of(cell))
                try:
                    with watch(cell.name) as report:
                        run_cell(cell, store, contexts.of(cell), report)
                    ran += 1
                except RunFailed as error:
                    failures.append(f"{cell.name}: {error}")
        if len(waiting) == len(todo):
            time.sleep(POLL)
        todo = waiting
    return failures, ran


def failed_since(cell: Cell, store: Store, time_: float) -> bool:
    """Whether a cell has a failed record that was written after a time."""
    path = store.path(cell)
    record = store.read(cell) if path.exists() and path.stat().st_mtime >= time_ else None
    return record is not None and record.status == "failed"


def waits(cell: Cell, store: Store) -> bool:
    """Whether a cell starts from one that another process is running."""
    for each in cell.needed:
        if not store.has_weights(each):
            with locked(store.of(each).work(each), wait=False) as free:
                if not free:
                    return True
    return False


def check_sources(cells: Sequence[Cell], folder: Path | None) -> None:
    """Raise `SuiteError` where a file of a task is missing: now, and not after hours of other tasks."""
    for task in (get_task(name) for name in dict.fromkeys(cell.task for cell in cells)):
        if task.source.takes_folder:
            kind_of(task).check_source(task, folder)
