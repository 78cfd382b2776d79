"""Compress a user's own model: fine-tune it where it is not, prune it, measure it, write it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.methods import Dense, build, parse_row
from benchmark.models import MODELS, locate
from benchmark.presets import get_preset
from benchmark.records import Outcome
from benchmark.tasks import get_task
from vtrans.errors import SuiteError
from vtrans.settings import Budget

if TYPE_CHECKING:
    from torch import nn

    from benchmark.runner import Bench
    from vtrans.training import Report


@dataclass(frozen=True)
class Request:
    """What `vtrans-bench compress` was asked for; see its help."""

    model: str
    task: str
    method: str
    sparsity: float
    out: Path
    preset: str = "quick"
    data_dir: Path | None = None
    seed: int = 0
    quantity: str = "parameters"
    denominator: str = "encoder"

    @property
    def budget(self) -> Budget:
        """The size asked for."""
        return Budget(self.sparsity, self.quantity, self.denominator)  # type: ignore[arg-type]


def compress_model(request: Request, report: "Report | None" = None) -> str:
    """Run a request; write model, tokenizer and `report.json` to its folder and return a summary.

    Checkpoints lie in `OUT/work` until the end, so that the same command goes on after a crash.

    Raises:
        SuiteError: bad input, found before anything is trained.
    """
    budget, task, preset = request.budget, get_task(request.task), get_preset(request.preset)
    parse_row(f"{request.method}-s{request.sparsity * 100:g}")
    method = build(f"{request.method}-s{request.sparsity * 100:g}", preset.phases(task.name), preset.overrides, budget)
    source = find_model(request.model)
    check_writable(request.out)

    from benchmark.runner import Bench, measure
    from vtrans.anatomy import anatomy_of
    from vtrans.method import Job
    from vtrans.pruned import save_pruned
    from vtrans.training import Desk, stop_on_interrupt

    bench = Bench.open(task, source, request.data_dir, "validation", preset.max_length)
    anatomy_of(bench.pretrained(request.seed))
    desk = Desk(folder=request.out / "work", report=report)
    with stop_on_interrupt(desk):
        teacher = make_teacher(bench, request, desk)
        job = Job(teacher, teacher, bench.train, request.seed, desk)
        small = method.compress(job)
    save_pruned(small, request.out)
    bench.tokenizer.save_pretrained(request.out)
    outcome = measure(method, teacher, small, bench, job.report)
    (request.out / "report.json").write_text(outcome.model_dump_json(indent=1) + "\n")
    return summary(outcome, request.out)


def make_teacher(bench: "Bench", request: Request, desk: Any) -> "nn.Module":
    """The user's model, fine-tuned first where it has no head for the task."""
    from dataclasses import replace

    from vtrans.method import Job

    model = bench.pretrained(request.seed)
    if is_finetuned(bench.source, bench.task.outputs):
        return model.eval()
    preset = get_preset(request.preset)
    folder = replace(desk, folder=request.out / "work" / "teacher")
    return Dense(preset.phases(bench.task.name).finetune).compress(Job(model, model, bench.train, request.seed, folder))


def is_finetuned(source: Path, outputs: int) -> bool:
    """Whether the model in `source` is a sequence classifier with that many outputs."""
    import json

    config = json.loads((source / "config.json").read_text())
    classifier = "SequenceClassification" in "".join(config.get("architectures") or [])
    labels = len(config.get("id2label") or {}) or config.get("num_labels", 2)
    return classifier and labels == outputs


def find_model(name: str) -> Path:
    """Folder of a model given as a folder, a name of the registry or a hub id.

    Raises:
        SuiteError: there is no such model, or the folder has no safetensors weights.
    """
    if Path(name).is_dir():
        return check_model(Path(name))
    if name in MODELS:
        return locate(MODELS[name])
    from huggingface_hub import snapshot_download

    try:
        return check_model(Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "model.safetensors"])))
    except SuiteError:
        raise
    except Exception as error:  # the hub client raises its own kinds, requests' and OSError
        raise SuiteError(
            f"model {name!r} is no folder and cannot be fetched ({type(error).__name__})",
            f"give a folder, a hub id that is in reach, or one of: {', '.join(MODELS)}",
        ) from None


def check_model(folder: Path) -> Path:
    """Raise `SuiteError` where a folder lacks what a safetensors model needs."""
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).exists():
            raise SuiteError(
                f"{folder} has no {name}", "save the model with save_pretrained(..., safe_serialization=True)"
            )
    if (folder / "pruned.json").exists():
        raise SuiteError(f"{folder} is pruned already", "compress the dense model, to the sparsity you want")
    return folder


def check_writable(folder: Path) -> None:
    """Raise `SuiteError` where a folder cannot be made and written to: before hours of training, not after."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise SuiteError(f"cannot write to {folder}: {error.strerror}", "name another --out") from None


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
