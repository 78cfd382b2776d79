"""Run one cell from data to record: teacher, method, counts, latency, evaluation."""

import json
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cells import SCHEMA, Cell
from benchmark.data import TaskData, encode, load_task, source_files
from benchmark.labels import check_label_names
from benchmark.methods import Dense
from benchmark.models import get_model, locate
from benchmark.provenance import now, peak_memory_bytes, provenance
from benchmark.records import Data, Macs, Outcome, Parameters, Record, Sparsity
from benchmark.store import Store, write_atomically
from benchmark.tasks import Task, also_name, get_task
from vtrans.errors import RunCancelled, RunFailed, SuiteError
from vtrans.method import Job
from vtrans.settings import Budget

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vtrans.examples import Examples
    from vtrans.training import Report

LATENCY_BATCHES = (1, 32)
Watch = Callable[[str], AbstractContextManager["Report | None"]]


@dataclass
class Bench:
    """A task, loaded: data, tokeniser, pretrained model."""

    task: Task
    data: TaskData
    tokenizer: Any
    source: Path
    train: "Examples"
    evaluation: "Examples"
    also: "Examples | None"
    model_digest: str

    @classmethod
    def load(cls, cell: Cell, folder: Path | None) -> "Bench":
        """Load what a cell needs."""
        task, spec = get_task(cell.task), get_model(cell.preset.model)
        return cls.open(task, locate(spec), folder, cell.split, cell.preset.max_length)

    @classmethod
    def open(cls, task: Task, model: Path, folder: Path | None, split: str, max_length: int) -> "Bench":
        """Load a task for the model in a folder."""
        data, tokenizer = load_task(task, folder, split), load_tokenizer(model)
        train, evaluation = (encode(task, rows, tokenizer, max_length) for rows in (data.train, data.evaluation))
        also = encode(task, data.also, tokenizer, max_length) if data.also else None
        return cls(task, data, tokenizer, model, train, evaluation, also, file_digest(model / "model.safetensors"))

    def pretrained(self, seed: int) -> "nn.Module":
        """The pretrained model with a task head drawn from `seed`."""
        return load_pretrained(self.source, self.task, seed).to(device())


def load_tokenizer(source: Path) -> Any:
    """The tokenizer of a model folder.

    Raises:
        SuiteError: it is missing, damaged, or too large for the model's embeddings.
    """
    from transformers import AutoConfig, AutoTokenizer

    if not any((source / name).exists() for name in ("tokenizer.json", "vocab.txt")):
        raise SuiteError(f"{source} has no tokenizer", "save it there with tokenizer.save_pretrained")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
        rows = AutoConfig.from_pretrained(source, local_files_only=True).vocab_size
    except Exception as error:  # the library raises OSError, ValueError, KeyError and its own
        raise SuiteError(f"{source} has a damaged tokenizer ({type(error).__name__})", "save it again") from None
    if len(tokenizer) > rows:
        raise SuiteError(
            f"the tokenizer has {len(tokenizer)} tokens, the model {rows}", "give the model its own tokenizer"
        )
    return tokenizer


def device() -> "torch.device":
    """Where runs take place: the first GPU where there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_pretrained(source: Path, task: Task, seed: int) -> "nn.Module":
    """A sequence classifier for `task` from the model in folder `source`; a missing head is drawn from `seed`."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(seed)
    config = AutoConfig.from_pretrained(source, local_files_only=True)
    if config.architectures and "Classification" in config.architectures[0]:
        check_label_names(task, config.id2label)
    names = dict(enumerate(task.labels)) or {0: "score"}
    try:
        return AutoModelForSequenceClassification.from_pretrained(
            source,
            id2label=names,
            label2id={name: i for i, name in names.items()},
            problem_type="regression" if task.regression else "single_label_classification",
            local_files_only=True,
            dtype=torch.float32,
        )
    except Exception as error:  # the library raises OSError, ValueError, RuntimeError and safetensors' own
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SuiteError(f"{source} holds no model that fits its config ({first})", "save the model again") from None


def run_cell(cell: Cell, store: Store, bench: Bench, report: "Report | None" = None) -> Record:
    """Run a cell and write its record, whatever becomes of it.

    Raises:
        RunFailed: the run broke; its `failed` record is written.
        RunCancelled: Ctrl-C; its `cancelled` record is written.
    """
    started = now()
    try:
        outcome = _run(cell, store, bench, report)
    except BaseException as error:
        failure = explain(error, store.work(cell))
        status = "cancelled" if isinstance(failure, RunCancelled) else "failed"
        store.write(cell, _record(cell, bench, started, status=status, error=str(failure)))
        raise failure from None
    record = _record(cell, bench, started, status="complete", outcome=outcome)
    store.write(cell, record)
    for checkpoint in store.work(cell).glob("*.ckpt"):
        checkpoint.unlink()
    return record


def explain(error: BaseException, work: Path) -> SuiteError:
    """The error of a broken run as one line; the traceback of an unforeseen one goes to `WORK/traceback.txt`."""
    if isinstance(error, (RunFailed, RunCancelled)):
        return error
    if isinstance(error, KeyboardInterrupt):
        return RunCancelled("interrupted", "run the same command to go on")
    if isinstance(error, SuiteError):
        return RunFailed(*error.parts)
    work.mkdir(parents=True, exist_ok=True)
    (work / "traceback.txt").write_text("".join(traceback.format_exception(error)))
    first = str(error).splitlines()[0] if str(error) else ""
    return RunFailed(f"{type(error).__name__}: {first}", f"see {work / 'traceback.txt'}")


def _record(cell: Cell, bench: Bench, started: str, **fields: Any) -> Record:
    data = bench.data
    return Record(
        schema_version=SCHEMA,
        key=cell.key,
        suite=cell.suite,
        preset=cell.preset.name,
        task=cell.task,
        row=cell.row,
        seed=cell.seed,
        config=cell.config,
        data=Data(
            source=data.source,
            digest=data.digest,
            train_rows=len(data.train),
            evaluation_rows=len(data.evaluation),
            split=data.split,
            caveat=bench.task.caveat,
            label_check=data.label_check,
        ),
        model={"name": cell.preset.model, "sha256": bench.model_digest, "note": get_model(cell.preset.model).note},
        provenance=provenance(started),
        **fields,
    )


def _run(cell: Cell, store: Store, bench: Bench, report: "Report | None") -> Outcome:
    from vtrans.pruned import save_pruned
    from vtrans.training import Desk, stop_on_interrupt

    desk = Desk(folder=store.work(cell), report=report)
    with stop_on_interrupt(desk):
        if isinstance(cell.method, Dense):
            start = dense = bench.pretrained(cell.seed)
        else:
            start = dense = obtain_teacher(cell.teacher, store, bench, report)
        job = Job(start, start, bench.train, cell.seed, desk)
        small = cell.method.compress(job)
    if isinstance(cell.method, Dense):
        dense = small
    save_pruned(small, store.work(cell) / "model")
    return measure(cell.method, dense, small, bench, job.report)


def obtain_teacher(cell: Cell, store: Store, bench: Bench, report: "Report | None") -> "nn.Module":
    """The dense model of a task and seed: loaded where its weights are kept, else trained, with its record."""
    from vtrans.pruned import load_pruned

    folder = store.work(cell) / "model"
    with store.claim(cell, wait=True):
        if not (folder / "pruned.json").exists():
            run_cell(cell, store, bench, report)
    return load_pruned(folder).to(device())


def measure(method: Any, dense: "nn.Module", small: "nn.Module", bench: Bench, report: dict[str, Any]) -> Outcome:
    """Everything that a row carries, on the materialised model."""
    from benchmark.flops import MacCurve
    from benchmark.latency import compare

    report = dict(report)
    seconds = report.pop("seconds", {})
    parameters = count_parameters(dense, small)
    lengths, fixed = bench.evaluation.lengths, bench.task.fixed_length
    return Outcome(
        metrics=all_metrics(small, bench),
        sparsity=reached(getattr(method, "budget", None), dense, small),
        parameters=parameters,
        macs=Macs(
            compressed=MacCurve.of(small).regimes(lengths, fixed),
            dense=MacCurve.of(dense).regimes(lengths, fixed),
            fixed_length=fixed,
        ),
        latency=[compare(dense.eval(), small, bench.evaluation, batch) for batch in LATENCY_BATCHES],
        seconds={name: round(value, 3) for name, value in seconds.items()},
        peak_memory_bytes=peak_memory_bytes(),
        report=report,
    )


def all_metrics(model: "nn.Module", bench: Bench) -> dict[str, float]:
    """Metrics of the task, on its second validation split too where there is one, in percent."""
    from benchmark.evaluation import evaluate_task

    metrics = evaluate_task(model, bench.task, bench.evaluation)
    if bench.also is not None:
        more = evaluate_task(model, bench.task, bench.also)
        metrics |= {also_name(name): value for name, value in more.items()}
    return metrics


def count_parameters(dense: "nn.Module", small: "nn.Module") -> Parameters:
    """Parameters of both models: all by counting tensors, the encoder's by the closed form of their anatomy."""
    from vtrans.size import Size

    total = {name: sum(p.numel() for p in model.parameters()) for name, model in (("s", small), ("d", dense))}
    sizes = {name: Size.of(model) for name, model in (("s", small), ("d", dense))}
    encoder = {name: round(float(size.parameters(size.dense))) for name, size in sizes.items()}
    return Parameters(all=total["s"], encoder=encoder["s"], dense_all=total["d"], dense_encoder=encoder["d"])


def reached(budget: Budget | None, dense: "nn.Module", small: "nn.Module") -> Sparsity | None:
    """The sparsity of the materialised model in the denominator of its budget; None for the dense row."""
    from vtrans.size import Size, amount

    if budget is None:
        return None
    amounts = [float(amount(budget, size, size.dense)) for size in (Size.of(small), Size.of(dense))]
    real = 1 - amounts[0] / amounts[1]
    return Sparsity(
        target=budget.sparsity, real=round(real, 5), quantity=budget.quantity, denominator=budget.denominator
    )


def file_digest(path: Path) -> str:
    """sha256 of a file, empty where there is none."""
    import hashlib

    if not path.exists():
        return ""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_inputs(cell: Cell, store: Store, bench: Bench) -> None:
    """Raise `SuiteError` where the cell was begun, or its teacher finished, on other data or another model.

    The work folder keeps the digests of the data and model that its checkpoints and weights come from.
    """
    digests = {"data": bench.data.digest, "model": bench.model_digest}
    for each in (cell, cell.teacher):
        note = store.work(each) / "inputs.json"
        record = store.read(each)
        known = json.loads(note.read_text()) if note.exists() else digests
        if record and record.data and record.model:
            known = {"data": record.data.digest, "model": record.model["sha256"]}
        if known != digests:
            raise SuiteError(
                f"{each.name} in {store.folder} was made from other data or another model",
                "give the same --data-dir, or another --results folder",
            )
    write_atomically(store.work(cell) / "inputs.json", json.dumps(digests) + "\n")


@contextmanager
def no_watch(name: str) -> "Iterator[None]":
    """Report nothing."""
    yield None


def run_cells(cells: list[Cell], store: Store, folder: Path | None, watch: Watch = no_watch) -> int:
    """Run the cells that have no complete record, going on past failed ones; return how many ran.

    `watch` opens, for the name of a cell, the function that its steps are reported to.

    Raises:
        RunFailed: at least one cell failed; the others are done.
        RunCancelled: Ctrl-C.
    """
    for task in dict.fromkeys(cell.task for cell in cells):
        if folder is not None and task != "rotten_tomatoes":
            source_files(get_task(task), folder)  # now, and not after hours of other tasks
    benches: dict[str, Bench] = {}
    failures: list[str] = []
    ran = 0
    for cell in cells:
        with store.claim(cell) as mine:
            if not mine or store.complete([cell]):  # another process has it, or has just ended it
                continue
            if cell.task not in benches:
                benches[cell.task] = Bench.load(cell, folder)
            check_inputs(cell, store, benches[cell.task])
            try:
                with watch(cell.name) as report:
                    run_cell(cell, store, benches[cell.task], report)
                ran += 1
            except RunCancelled:
                raise
            except RunFailed as error:
                failures.append(f"{cell.name}: {error}")
    if failures:
        raise RunFailed(f"{len(failures)} of {len(cells)} cells failed: {failures[0]}", "`plan` lists them all")
    return ran
