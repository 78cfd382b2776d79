"""Compress a user's own model: fine-tune it where it is not, prune it, measure it, write it."""

import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchmark.commands.evaluate import check_room
from benchmark.commands.user_model import (
    check_half,
    check_model_class,
    check_out,
    find_model,
    is_finetuned,
    layers_of,
    publish,
    sole_writer,
)
from benchmark.common.digests import key_of
from benchmark.grid.cells import check_row_fits, known_method
from benchmark.grid.methods import METHODS
from benchmark.grid.rows import (
    RowSpec,
    build,
    forced,
    parse_row,
    parse_settings,
    refuse_unused,
    sized,
    with_settings,
)
from benchmark.grid.suites import Preset, get_preset, suite_of
from benchmark.records.schema import Outcome
from benchmark.tasks.registry import Task
from vtrans.errors import SuiteError
from vtrans.methods.base import Chain, Method, check_packages, config_of
from vtrans.methods.dense import Dense
from vtrans.settings import Budget, Denominator, Precision, Quantity, Schedule, Setting
from vtrans.signals import interrupting
from vtrans.teaching.teacher import Teacher

if TYPE_CHECKING:
    from torch import nn

    from benchmark.runs.outcome import Measured
    from benchmark.runs.task_context import TaskContext
    from vtrans.training.loop import Report, RunContext

PARTS = ("dense", "compressed", "difference")


@dataclass(frozen=True)
class CompressRequest:
    """What `vtrans-bench compress` was asked for; see its help."""

    model: str
    task: Task
    method: str
    sparsity: float | None
    out: Path
    preset: str = "quick"
    data_dir: Path | None = None
    seed: int = 0
    quantity: Quantity = "parameters"
    denominator: Denominator = "encoder"
    precision: Precision = "auto"
    settings: tuple[str, ...] = ()
    length: int = 0

    @property
    def suite(self) -> str:
        """The suite that has the task, or its like."""
        return suite_of(self.task)

    @property
    def scale(self) -> Preset:
        """The preset, of that suite, at the length that was asked for."""
        found = get_preset(self.preset, self.suite)
        return replace(found, max_length=self.length) if self.length else found

    @property
    def row(self) -> RowSpec:
        """The row that the method, its size and its settings make.

        Raises:
            SuiteError: unknown method or hyper-parameter, sparsity missing, not wanted or out of range.
        """
        row = parse_row(self._sized()).name
        if self.settings:
            leaves = parse_settings(self.settings)
            refuse_unused(leaves, [row])
            row = with_settings(row, leaves, self.setting)
        return parse_row(row if self.precision == "auto" else forced(row, self.precision))

    def _sized(self) -> str:
        """The method with its size, which a name such as VTrans-s60 has already."""
        method = METHODS.get(known_method(self.method))
        if method:
            refuse_family(method)
        if method and method.sized and self.sparsity is None:
            raise SuiteError(f"method {method.name!r} lacks a size", "give --sparsity, 0.6 for 60 %")
        if method and not method.sized and self.sparsity is not None:
            raise SuiteError(f"method {method.name!r} has no size to reach", "leave out --sparsity")
        return self.method if self.sparsity is None else sized(self.method, self.sparsity)

    @property
    def finetune(self) -> Schedule | None:
        """Schedule of the teacher, in the precision that is forced."""
        found, precision = self.scale.schedules(self.task.name).finetune, self.row.precision
        return replace(found, precision=cast("Precision", precision)) if found and precision else found

    @property
    def setting(self) -> Setting:
        """What the method is built for; the model's layers are to come."""
        return self.scale.setting(self.suite, self.task, layers=0)

    def build(self, layers: int = 0) -> Method:
        """The method for a model of so many layers, under the preset's schedules.

        Raises:
            SuiteError: as of `row`; or an unknown quantity or denominator, or a method that compresses nothing.
        """
        row, length = self.row, self.scale.max_length
        check_row_fits(row.name, self.task)
        if row.method == "dense":
            raise SuiteError("method 'dense' compresses nothing", "choose another of `vtrans-bench list methods`")
        refuse_family(METHODS[row.method])
        if row.text_base:
            raise SuiteError(f"method {row.method!r} starts from a run on text", "use `run agnostic`")
        named = parse_row(row.base).sparsity if row.base else row.sparsity
        budget = Budget(named or 0.5, self.quantity, self.denominator, length)
        if named is None and budget != Budget(0.5, length=length):
            raise SuiteError(f"{row.name} has no size to reach", "leave out --quantity and --denominator")
        setting = replace(self.setting, budget=budget, layers=layers)
        method = build(row.name, setting)
        return Chain(build(row.base, setting), method) if row.base else method


def refuse_family(method: type[Method]) -> None:
    """Raise `SuiteError` for a method whose sizes come from one run."""
    if method.family:
        raise SuiteError(f"method {method.name!r} makes several sizes", "use `run`, or vtrans.compress_family")


def compress_model(
    request: CompressRequest, report: "Report | None" = None, tell: Callable[[str], None] = lambda line: None
) -> str:
    """Run a request; write model, tokenizer and `report.json` to its folder and return a summary.

    Before it trains, `tell` is given what it will take, and what there is to be said of the data.

    Checkpoints lie in `OUT/work/KEY` until the end, under a key of everything that the result depends on:
    the same command goes on after a crash, another one starts anew. OUT holds nothing else at the start, and no other
    process writes to it.

    Raises:
        SuiteError: bad input, found before anything is trained.
        RunFailed: the run broke.
        RunCancelled: Ctrl-C or SIGTERM.
    """
    request.build()  # for its errors: the method proper knows the model's layers
    source = find_model(request.model)
    method = request.build(layers_of(source))
    check_packages(method)
    check_out(request.out, source)
    with sole_writer(request.out, source):
        return _compress_alone(request, source, method, report, tell)


def _compress_alone(
    request: CompressRequest, source: Path, method: Method, report: "Report | None", tell: Callable[[str], None]
) -> str:
    from benchmark.runs.runner import explain
    from benchmark.runs.task_context import TaskContext
    from vtrans.tokens.model import check_can_drop_tokens

    context = TaskContext.open(request.task, source, request.data_dir, "validation", request.scale.max_length)
    check_room(request.scale.max_length, request.task, context.tokenizer)
    context = replace(context, precision=request.scale.evaluation_precision)
    model = context.pretrained(request.seed)
    check_model_class(model, request.task)
    if METHODS[request.row.method].selector:
        check_can_drop_tokens(model)
    work = request.out / "work" / request_key(request, method, context)
    check_half(request.out, work)
    tell(estimate(request, method, context))
    try:
        with interrupting():
            outcome, scores = _compress(request, method, context, work, report)
    except BaseException as error:
        raise explain(error, work) from None
    discard(work)
    return summary(outcome, scores, request.out)


def _compress(
    request: CompressRequest, method: Method, context: "TaskContext", work: Path, report: "Report | None"
) -> "tuple[Outcome, list[str]]":
    from benchmark.records.memory import PeakMemory
    from benchmark.runs.facts import facts
    from benchmark.runs.outcome import measure
    from vtrans.methods.base import CompressionState
    from vtrans.saving.pruned import save_pruned
    from vtrans.teaching.cache import TeacherCache
    from vtrans.training.loop import RunContext

    peak, run_context = PeakMemory(), RunContext(work, report, teacher_cache=TeacherCache(work / "teacher-outputs"))
    teacher = make_teacher(context, request, run_context)
    state = CompressionState(Teacher(teacher), context.train, request.seed, run_context)
    small = method.compress(state)
    measured = measure(method.target(), teacher, small, context, state, peak)
    outcome, scores = measured.outcome, compared(teacher, measured, context)
    outcome.report["max_length"] = request.scale.max_length  # which later commands cut texts at, too
    result = work / "result"
    save_pruned(small, result, facts(method.name, context, outcome))
    context.tokenizer.save_pretrained(result)
    (result / "report.json").write_text(outcome.model_dump_json(indent=1) + "\n")
    publish(result, request.out)
    return outcome, scores


def discard(work: Path) -> None:
    """Remove the work folder of one request."""
    shutil.rmtree(work)


def request_key(request: CompressRequest, method: Method, context: "TaskContext") -> str:
    """Hash of everything that the result of a request depends on."""
    from vtrans.data.ragged import Ragged

    preset = request.scale
    task = [request.task.name, list(request.task.labels), list(request.task.metrics)]
    tokens = Ragged.of(context.train.ids).digest  # which the tokenizer has made of the rows
    config = [preset.max_length, *task, request.seed, context.data.digest, tokens, context.model_digest]
    return key_of({"request": config, "method": config_of(method), "teacher": config_of(request.finetune)})


def make_teacher(context: "TaskContext", request: CompressRequest, run_context: "RunContext") -> "nn.Module":
    """The user's model, fine-tuned first where it has no head for the task."""
    from vtrans.methods.base import CompressionState

    model = context.pretrained(request.seed)
    if is_finetuned(context.source, context.task):
        return model.eval()
    return Dense(request.finetune).compress(CompressionState(Teacher(model), context.train, request.seed, run_context))


def estimate(request: CompressRequest, method: Method, context: "TaskContext") -> str:
    """What the request will take on this machine, from a few timed steps, and how much of the rows is cut off."""
    from benchmark.grid.cost import timed_passes
    from benchmark.runs.progress import duration
    from benchmark.runs.timing import machine, time_passes
    from vtrans.forecast import Forecast

    schedules, rows = request.scale.schedules(request.task.name), len(context.train)
    finetune = None if is_finetuned(context.source, context.task) else request.finetune
    step, evaluated = time_passes(request.seed, context, finetune or schedules.prune, schedules.finetune is not None)
    state = Forecast(rows)
    training = method.forecast(state) + (Dense(finetune).forecast(Forecast(rows)) if finetune else 0)
    passes = len(context.evaluation) * (1 + state.kept) + timed_passes(context.latency, state.kept)
    lines = [f"estimate: about {duration(training * step + passes * evaluated)} on {machine()}"]
    full = sum(length >= request.scale.max_length for length in context.train.lengths)
    if remark := context.kind.remark(context.train):
        lines.append(remark)
    elif not context.kind.running_text and full > rows // 20:
        lines.append(
            f"{full:,} of {rows:,} rows fill all {request.scale.max_length} tokens; --max-length for longer ones"
        )
    return "\n".join(lines)


def compared(dense: "nn.Module", small: "Measured", context: "TaskContext") -> list[str]:
    """A line a metric: dense, compressed, and the difference, each with its interval over validation examples."""
    from benchmark.common.device import autocast
    from benchmark.statistics.intervals import bootstrap
    from benchmark.statistics.weighted import metric_of
    from benchmark.tasks.metrics import digits

    with autocast(context.precision):
        before = context.kind.evaluate(context.task, dense, context.evaluation)
    small.outcome.report.update(dense_metrics=before.metrics, intervals={})
    lines = [f"{'':20} {'dense':24} {'compressed':24} difference"]
    for name, value in before.metrics.items():
        after = small.outcome.metrics[name]
        found = [metric_of(name, [p], [v]) for p, v in ((before.predictions, value), (small.predictions, after))]
        if found[0] is None or found[1] is None:
            known = f".{digits(name)}f"
            texts = [f"{value:{known}}", f"{after:{known}}", f"{after - value:+{known}}"]
        else:
            count = len(next(iter(small.predictions.values())))
            pairs = ((found[0], None), (found[1], None), (found[1], found[0]))
            intervals = [bootstrap(a, b, 1, count) for a, b in pairs]
            texts = [each.text(digits(name), sign=each is intervals[-1]) for each in intervals]
            kept = {part: [each.value, each.low, each.high] for part, each in zip(PARTS, intervals, strict=True)}
            small.outcome.report["intervals"][name] = kept
        lines.append(f"{name:20} {texts[0]:24} {texts[1]:24} {texts[2]}")
    return lines


def summary(outcome: Outcome, scores: Sequence[str], out: Path) -> str:
    """What came out: scores, size, speed, and what to do next."""
    p = outcome.parameters
    times = ", ".join(f"{each['speedup'][1]:.1f} at batch {each['batch']}" for each in outcome.latency)
    return "\n".join(
        [
            *scores,
            f"parameters: {p.encoder:,} of {p.dense_encoder:,} in the encoder, {p.all:,} of {p.dense_all:,} in all",
            f"times as fast as dense, measured: {times}; times fewer MACs: {outcome.macs.speedup('batch'):.1f}",
            f"written: {out}; load it with from_pretrained after `import vtrans`",
            f"next: vtrans-bench export {shlex.quote(str(out))} --out GRAPH --int8",
        ]
    )
