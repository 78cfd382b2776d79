"""Compress a user's own model: fine-tune it where it is not, prune it, measure it, write it."""

import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cells import check_fits, key_of
from benchmark.methods import JOINT, Dense, build, parse_row, parse_sparsity
from benchmark.models import MODELS, locate
from benchmark.presets import Preset, get_preset, suite_of
from benchmark.records import Outcome
from benchmark.store import check_writable
from benchmark.tasks import TASKS, Task, get_task
from vtrans.errors import SuiteError
from vtrans.method import Chain, Method, config_of
from vtrans.settings import Budget

if TYPE_CHECKING:
    from torch import nn

    from benchmark.bench import Bench
    from vtrans.training import Desk, Report


@dataclass(frozen=True)
class Request:
    """What `vtrans-bench compress` was asked for; see its help."""

    model: str
    task: str
    method: str
    sparsity: float | None
    out: Path
    preset: str = "quick"
    data_dir: Path | None = None
    seed: int = 0
    quantity: str = "parameters"
    denominator: str = "encoder"

    @property
    def scale(self) -> Preset:
        """The preset, of the suite that has the task."""
        return get_preset(self.preset, suite_of(get_task(self.task).name))

    def build(self) -> Method:
        """The method, under the preset's schedules.

        Raises:
            SuiteError: unknown method, sparsity missing, not wanted or out of range, unknown quantity or denominator.
        """
        preset, sparsity = self.scale, 0.5 if self.sparsity is None else self.sparsity
        start = Budget(sparsity, self.quantity, self.denominator, preset.max_length)  # type: ignore[arg-type]
        phases = preset.phases(self.task)
        static, plus, tokens = JOINT.get(self.method, self.method).partition("+")
        size = ""
        if self.sparsity is not None:  # its own size takes the place of a joint row's
            if self.method == static and parse_sparsity(static) not in (None, self.sparsity):
                raise SuiteError(
                    f"{static} is not of sparsity {self.sparsity:g}", "leave out --sparsity, or the suffix"
                )
            static, size = re.sub(r"-s[\d.]+$", "", static), f"-s{self.sparsity * 100:g}"
        row = parse_row(static + size + plus + tokens)
        check_fits(row.name, get_task(self.task))
        if row.method == "dense":
            raise SuiteError("method 'dense' compresses nothing", "choose another of `vtrans-bench list methods`")
        if row.words:
            raise SuiteError(f"method {row.method!r} starts from a run on text", "use `run agnostic`")
        named = parse_row(row.base).sparsity if row.base else row.sparsity
        if named is None and start != Budget(sparsity, length=start.length):
            raise SuiteError(f"{row.name} has no size to reach", "leave out --quantity and --denominator")
        budget = start if self.sparsity is not None or named is None else replace(start, sparsity=named)
        method = build(row.name, phases, preset.overrides, budget)
        return Chain(build(row.base, phases, preset.overrides, budget), method) if row.base else method


def compress_model(request: Request, report: "Report | None" = None) -> str:
    """Run a request; write model, tokenizer and `report.json` to its folder and return a summary.

    Checkpoints lie in `OUT/work/KEY` until the end, under a key of everything that the result depends on:
    the same command goes on after a crash, another one starts anew. Nothing else in OUT is touched.

    Raises:
        SuiteError: bad input, found before anything is trained.
        RunFailed: the run broke.
        RunCancelled: Ctrl-C.
    """
    task, preset, method = get_task(request.task), request.scale, request.build()
    source = find_model(request.model)
    check_out(request.out, source)

    from benchmark.bench import Bench
    from benchmark.runner import explain

    bench = Bench.open(task, source, request.data_dir, "validation", preset.max_length)
    check_model_class(bench.pretrained(request.seed), task)
    work = request.out / "work" / request_key(request, bench)
    try:
        outcome = _compress(request, method, bench, work, report)
    except BaseException as error:
        raise explain(error, work) from None
    discard(work)
    return summary(outcome, request.out)


def _compress(request: Request, method: Method, bench: "Bench", work: Path, report: "Report | None") -> Outcome:
    from benchmark.measure import measure
    from vtrans.method import Job
    from vtrans.pruned import save_pruned
    from vtrans.training import Desk, stop_on_interrupt

    desk = Desk(folder=work, report=report)
    with stop_on_interrupt(desk):
        teacher = make_teacher(bench, request, desk)
        job = Job(teacher, teacher, bench.train, request.seed, desk)
        small = method.compress(job)
    outcome = measure(getattr(method, "budget", None), teacher, small, bench, job.report)
    result = work / "result"
    save_pruned(small, result)
    bench.tokenizer.save_pretrained(result)
    (result / "report.json").write_text(outcome.model_dump_json(indent=1) + "\n")
    publish(result, request.out)
    return outcome


def publish(result: Path, out: Path) -> None:
    """Move the files of a finished result to `out`, weights last.

    Until then `out` holds no model, so that after a crash the same command may go on.
    """
    for path in sorted(result.iterdir(), key=lambda path: path.suffix == ".safetensors"):
        path.replace(out / path.name)
    result.rmdir()


def discard(work: Path) -> None:
    """Remove the work folder of one request, and the folder of all if it was the last."""
    shutil.rmtree(work)
    if not any(work.parent.iterdir()):
        work.parent.rmdir()


def request_key(request: Request, bench: "Bench") -> str:
    """Hash of everything that the result of a request depends on."""
    preset = request.scale
    finetune = preset.phases(request.task).finetune
    config = [preset.max_length, request.task, request.seed, bench.data.digest, bench.model_digest]
    return key_of({"request": config, "method": config_of(request.build()), "teacher": config_of(finetune)})


def make_teacher(bench: "Bench", request: Request, desk: "Desk") -> "nn.Module":
    """The user's model, fine-tuned first where it has no head for the task."""
    from vtrans.method import Job

    model = bench.pretrained(request.seed)
    if is_finetuned(bench.source, bench.task):
        return model.eval()
    finetune = request.scale.phases(bench.task.name).finetune
    return Dense(finetune).compress(Job(model, model, bench.train, request.seed, desk))


def check_model_class(model: "nn.Module", task: Task) -> None:
    """Raise `SuiteError` where a model has no anatomy, decodes where it should not, or does not where it should."""
    from vtrans.anatomy import anatomy_of

    decodes = getattr(model.config, "is_decoder", False) or not anatomy_of(model).encoder
    if decodes != (task.kind == "language"):
        fitting = [name for name, each in TASKS.items() if decodes == (each.kind == "language")]
        raise SuiteError(
            f"the model is {'a decoder' if decodes else 'an encoder'}, which {task.name} is not for",
            f"choose one of: {', '.join(fitting)}",
        )


def check_out(out: Path, source: Path) -> None:
    """Raise `SuiteError` where writing to `out` is impossible or would destroy a model."""
    if any(out.glob("model*.safetensors")):
        which = "is the model's own folder" if out.resolve() == source.resolve() else "holds a model already"
        raise SuiteError(f"{out} {which}", "name another --out")
    check_writable(out)


def is_finetuned(source: Path, task: Task, kind: str = "") -> bool:
    """Whether the model in `source`, of the class `kind` or those of its config, has the task's head."""
    config = json.loads((source / "config.json").read_text())
    names = kind or str(config.get("architectures") or "")
    if task.kind == "language":
        return "LMHead" in names or "CausalLM" in names
    if task.kind == "masked":
        return "MaskedLM" in names
    if task.kind == "answers":
        return "QuestionAnswering" in names
    classifier = "SequenceClassification" in names
    labels = len(config.get("id2label") or {}) or config.get("num_labels", 2)
    return classifier and labels == task.outputs


def find_model(name: str, pruned: bool = False) -> Path:
    """Folder of a model given as a folder, which may be `pruned`, a name of the registry or a hub id.

    Raises:
        SuiteError: there is no such model, or the folder has no safetensors weights.
    """
    if not name:
        raise SuiteError("--model is empty", f"give a folder, a hub id or one of: {', '.join(MODELS)}")
    if Path(name).is_dir():
        return check_model(Path(name), pruned)
    if name in MODELS:
        return locate(MODELS[name])
    from huggingface_hub import snapshot_download

    try:
        return check_model(Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "model*.safetensors"])))
    except SuiteError:
        raise
    except Exception as error:  # the hub client raises its own kinds, requests' and OSError
        raise SuiteError(
            f"model {name!r} is no folder and cannot be fetched ({type(error).__name__})",
            f"give a folder, a hub id that is in reach, or one of: {', '.join(MODELS)}",
        ) from None


def check_model(folder: Path, pruned: bool = False) -> Path:
    """Raise `SuiteError` where a folder lacks what a safetensors model needs, or is pruned and may not be."""
    for name in ("config.json", "model*.safetensors"):
        if not any(folder.glob(name)):
            raise SuiteError(
                f"{folder} has no {name}", "save the model with save_pretrained(..., safe_serialization=True)"
            )
    if (folder / "pruned.json").exists() and not pruned:
        raise SuiteError(f"{folder} is pruned already", "compress the dense model, to the sparsity you want")
    check_family(folder / "config.json")
    return folder


def check_family(config: Path) -> None:
    """Raise `SuiteError` where a config is damaged or of a family without an anatomy."""
    from vtrans.anatomy import families, no_anatomy

    try:
        content = json.loads(config.read_text())
        kind, classes = content["model_type"], content.get("architectures") or []
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise SuiteError(f"{config} names no model_type", "save the model again with save_pretrained") from None
    if not isinstance(classes, list):
        raise SuiteError(f"architectures in {config} are no list", "save the model again with save_pretrained")
    if kind not in families():
        raise no_anatomy(kind)


def summary(outcome: Outcome, out: Path) -> str:
    """A few lines on what came out."""
    o, p = outcome, outcome.parameters
    metrics = ", ".join(f"{name} {value:.1f}" for name, value in o.metrics.items())
    speed = o.macs.dense["batch"] / o.macs.compressed["batch"]
    return (
        f"{out}: {metrics} on validation; {p.encoder:,} of {p.dense_encoder:,} encoder parameters, "
        f"{p.all:,} of {p.dense_all:,} in all; {speed:.2f}x fewer MACs, "
        f"{o.latency[1]['speedup'][1]:.2f}x faster at batch 32\n"
        f'load it with: vtrans.pruned.load_pruned("{out}")'
    )
