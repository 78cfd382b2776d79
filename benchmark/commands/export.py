"""Export a model folder as a graph for another runtime, in int8 if asked to, compared with PyTorch and evaluated."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

from benchmark.commands.user_model import check_finetuned, check_out, cut_at, find_model
from benchmark.common.checkpoints import check_positions, load_tokenizer
from benchmark.common.files import check_writable
from benchmark.grid.suites import get_preset, suite_of
from benchmark.tasks.kind import kind_of
from benchmark.tasks.metrics import digits
from benchmark.tasks.registry import Task
from vtrans.errors import SuiteError

if TYPE_CHECKING:
    from torch import nn

    from vtrans.data.examples import Examples
    from vtrans.deploy.runtime import Deployed

TOLERANCE = 1e-4  # of fp32 logits
SHAPES = ((1, 5), (3, 9), (8, 32), (32, 24))  # batch and length of what is compared


@dataclass(frozen=True)
class ExportRequest:
    """What `vtrans-bench export` was asked for; see its help."""

    model: str
    out: Path
    format: str = "onnx"
    int8: bool = False
    check: bool = False
    task: Task | None = None
    preset: str = "quick"
    data_dir: Path | None = None
    opset: int = 20
    length: int = 0


@dataclass(frozen=True)
class Rows:
    """A task's rows, encoded for a model: to calibrate on, and to evaluate on."""

    task: Task
    train: "Examples"
    evaluation: "Examples"
    count: int


def export_model(request: ExportRequest) -> list[str]:
    """Write the graph, the tokenizer and the config to a folder; lines on what came out.

    Raises:
        SuiteError: bad input, a package that is missing, or a graph whose logits are not the model's.
    """
    from vtrans.deploy.export import FILES, check_format
    from vtrans.deploy.runtime import load_deployed
    from vtrans.saving.pruned import load_pruned

    check_format(request.format, request.int8, request.opset)
    if request.int8 and request.format == "openvino" and not request.task:
        raise SuiteError("int8 for OpenVINO takes its ranges on rows of a task", "name one with --task, or --data")
    source = find_model(request.model, pruned=True)
    check_export_out(request, source)
    tokenizer, model = load_tokenizer(source), load_pruned(source)
    rows = read_rows(request.task, request, source, model, tokenizer) if request.task else None
    with TemporaryDirectory(prefix="vtrans-export-") as part:
        made = write_graph(request, model, Path(part), rows)
        graph = load_deployed(made)
        lines = [checked(graph, model, request.int8)] if request.check else []
        request.out.mkdir(parents=True, exist_ok=True)
        for path in sorted(made.parent.glob(f"{made.stem}.*")):
            shutil.move(path, request.out / f"{FILES[request.format].partition('.')[0]}{path.suffix}")
    tokenizer.save_pretrained(request.out)
    cast("Any", model).config.save_pretrained(request.out)
    path = request.out / FILES[request.format]
    size = sum(each.stat().st_size for each in path.parent.glob(f"{path.stem}.*")) / 1e6
    lines.insert(0, f"{path}: {size:.1f} MB; PyTorch's weights {parameters(model):.1f} MB")
    return lines + (scores(request, {"PyTorch": model, request.format: graph}, rows) if rows else [])


def check_export_out(request: ExportRequest, source: Path) -> None:
    """Raise `SuiteError` where a folder holds what would be written over; graphs of two formats may share one."""
    from vtrans.deploy.export import FILES

    graphs = [name for name in FILES.values() if (request.out / name).exists()]
    if FILES[request.format] in graphs:
        raise SuiteError(f"{request.out} holds {FILES[request.format]} already", "name another --out, or remove it")
    if graphs:
        check_writable(request.out)
    else:
        check_out(request.out, source)


def parameters(model: "nn.Module") -> float:
    """Megabytes of a model's parameters."""
    return sum(p.numel() * p.element_size() for p in model.parameters()) / 1e6


def read_rows(task: Task, request: ExportRequest, source: Path, model: "nn.Module", tokenizer: Any) -> Rows:
    """The task's rows, encoded for the model."""
    kind, usual = kind_of(task), get_preset(request.preset, suite_of(task)).max_length
    length = cut_at(source, request.length, usual)
    check_finetuned(source, task, model)
    check_positions(source, length)
    data = kind.load(task, request.data_dir, "validation")
    train, evaluation = (kind.encode_for(source, task, r, tokenizer, length) for r in (data.train, data.evaluation))
    return Rows(task, train, evaluation, kind.count(data.evaluation, evaluation))


def write_graph(request: ExportRequest, model: "nn.Module", folder: Path, rows: Rows | None) -> Path:
    """The graph's file, in a folder of working files."""
    from vtrans.deploy.export import export_onnx, to_openvino
    from vtrans.deploy.quantise import calibration, quantise_onnx, quantise_openvino

    path = export_onnx(model, folder / "fp32.onnx", request.opset)
    if request.format == "onnx":
        return quantise_onnx(path, folder / "int8.onnx") if request.int8 else path
    path = to_openvino(path, folder / "plain.xml")
    if not request.int8:
        return path
    assert rows is not None, "checked before"
    return quantise_openvino(path, folder / "int8.xml", calibration(path, rows.train))


def checked(graph: "Deployed", model: "nn.Module", int8: bool) -> str:
    """The largest difference between the outputs of graph and model on random ids of several shapes.

    Raises:
        SuiteError: fp32 outputs differ by more than `TOLERANCE`.
    """
    import torch

    gap, spread = 0.0, 0.0
    vocabulary = cast("Any", model).config.vocab_size
    generator = torch.Generator().manual_seed(0)
    for batch, length in SHAPES:
        ids = torch.randint(min(5, vocabulary - 1), vocabulary, (batch, length), generator=generator)
        mask = torch.arange(length) < torch.randint(2, length + 1, (batch, 1), generator=generator)
        with torch.no_grad():
            inputs = {"input_ids": ids, "attention_mask": mask.long()}
            ours, theirs = model(**inputs), graph(**inputs)
        for name in graph.outputs:
            want, got = (getattr(found, name)[:, :1] for found in (ours, theirs))  # later tokens may be padding
            gap, spread = max(gap, (want - got).abs().max().item()), max(spread, want.std(correction=0).item())
    text = f"largest difference to PyTorch {gap:.1e}, outputs spread {spread:.2g}, {len(SHAPES)} shapes of random ids"
    if not int8 and gap > TOLERANCE:
        raise SuiteError(f"the graph is not the model: {text}", "report this model; its folder was not written")
    return text


def scores(request: ExportRequest, models: Mapping[str, "nn.Module"], rows: Rows) -> list[str]:
    """The task's metrics of each model, a line each."""
    found = list[str]()
    for name, model in models.items():
        metrics = kind_of(rows.task).evaluate(rows.task, model, rows.evaluation).metrics
        text = ", ".join(f"{metric} {value:.{digits(metric)}f}" for metric, value in metrics.items())
        found.append(f"{name}{' int8' if request.int8 and name != 'PyTorch' else ''}: {text} (n = {rows.count:,})")
    return found
