"""Commands over single models: compress, evaluate, export, and held in shards."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from benchmark.cli.app import app
from benchmark.commands.options import (
    DENOMINATOR_HELP,
    QUANTITY_HELP,
    SPARSITY_HELP,
    TASK_HELP,
    Checkpointing,
    DataDir,
    ForcedPrecision,
    LabelColumn,
    Length,
    MetricName,
    Offload,
    OwnEvaluation,
    OwnRows,
    PresetName,
    SetOption,
    Stage,
    TextColumns,
    echo,
    split_names,
    task_for,
    warn_if_emulated,
)

if TYPE_CHECKING:
    from vtrans.settings import Denominator, Precision, Quantity


@app.command()
def compress(
    model: Annotated[str, typer.Option(help="folder of a transformers model, a name of `list models`, or a hub id")],
    method: Annotated[str, typer.Option(help="method, see `list methods`, or two: CoFi+Infor-Coef")],
    out: Annotated[Path, typer.Option(help="folder to write the smaller model to, empty or not there yet")],
    task: Annotated[str, typer.Option(help=TASK_HELP)] = "",
    data: OwnRows = None,
    evaluation: OwnEvaluation = None,
    text: TextColumns = "text",
    label: LabelColumn = "",
    metric: MetricName = "",
    sparsity: Annotated[float | None, typer.Option(help=SPARSITY_HELP)] = None,
    preset: PresetName = "quick",
    data_dir: DataDir = None,
    seed: Annotated[int, typer.Option(min=0, max=999_999_999, help="random seed")] = 0,
    quantity: Annotated[str, typer.Option(help=QUANTITY_HELP)] = "parameters",
    denominator: Annotated[str, typer.Option(help=DENOMINATOR_HELP)] = "encoder",
    precision: ForcedPrecision = "auto",
    settings: SetOption = None,
    length: Length = 0,
) -> None:
    """Compress a model of your own, on a task or on rows of your own: a smaller one comes out, and what it is worth."""
    from benchmark.commands.compress import CompressRequest, compress_model
    from benchmark.runs.progress import progress

    warn_if_emulated(precision)
    request = CompressRequest(
        model=model,
        task=task_for(task, model, data, evaluation, text, label, metric, pruned=False),
        method=method,
        sparsity=sparsity,
        out=out,
        preset=preset,
        data_dir=data_dir,
        seed=seed,
        quantity=cast("Quantity", quantity),
        denominator=cast("Denominator", denominator),
        precision=cast("Precision", precision),
        settings=tuple(settings or ()),
        length=length,
    )
    with progress(method) as report:
        echo(compress_model(request, report, echo))


@app.command()
def evaluate(
    model: Annotated[str, typer.Option(help="folder of a model, pruned or not, a name of `list models`, or a hub id")],
    task: Annotated[str, typer.Option(help=TASK_HELP)] = "",
    data: OwnRows = None,
    text: TextColumns = "text",
    label: LabelColumn = "",
    metric: MetricName = "",
    preset: PresetName = "quick",
    data_dir: DataDir = None,
    length: Length = 0,
    stride: Annotated[int, typer.Option(min=0, help="tokens between windows of a text; 0: no overlap")] = 0,
    zero_shot: Annotated[str, typer.Option(help="zero-shot tasks of --data-dir, comma-separated")] = "",
    zero_shot_rows: Annotated[int, typer.Option(min=0, help="questions of each, the first ones; 0: all")] = 0,
    precision: Annotated[str, typer.Option(help="auto, bf16 or fp32; by default the preset's")] = "",
) -> None:
    """Evaluate a model as it is, dense or pruned: metrics of its task, perplexity with or without a stride."""
    from benchmark.commands.evaluate import EvaluateRequest, evaluate_model, lines

    names = tuple(split_names(zero_shot))
    warn_if_emulated(precision)
    request = EvaluateRequest(
        model=model,
        task=task_for(task, model, data, None, text, label, metric, whole=True),
        preset=preset,
        data_dir=data_dir,
        length=length,
        stride=stride,
        zero_shot=names,
        zero_shot_rows=zero_shot_rows,
        precision=precision,
    )
    echo("\n".join(lines(evaluate_model(request))))


@app.command()
def export(
    model: Annotated[
        str, typer.Argument(help="folder of a model, pruned or not, a name of `list models`, or a hub id")
    ],
    out: Annotated[Path, typer.Option(help="folder to write graph, tokenizer and config to")],
    format_: Annotated[str, typer.Option("--format", help="onnx or openvino")] = "onnx",
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="int8 weights and activations, whose ranges are found at run time (ONNX) or on rows (OpenVINO)",
        ),
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="compare its outputs with PyTorch's")] = False,
    task: Annotated[str, typer.Option(help="task to evaluate it on, and to take ranges on")] = "",
    data: OwnRows = None,
    evaluation: OwnEvaluation = None,
    text: TextColumns = "text",
    label: LabelColumn = "",
    preset: PresetName = "quick",
    data_dir: DataDir = None,
    opset: Annotated[int, typer.Option(help="version of ONNX's operators")] = 20,
    length: Length = 0,
) -> None:
    """Export a model, pruned or dropping tokens, as an ONNX or OpenVINO graph of any batch and length."""
    from benchmark.commands.export import ExportRequest, export_model

    rows = task_for(task, model, data, evaluation, text, label) if task or data or evaluation or label else None
    request = ExportRequest(model, out, format_, int8, check, rows, preset, data_dir, opset, length)
    echo("\n".join(export_model(request)))


@app.command()
def deployed(
    models: Annotated[
        list[Path], typer.Argument(help="model folders; give the dense one first, speed-ups are against it")
    ],
    out: Annotated[Path, typer.Option(help="where to write, without suffix: OUT.json and OUT.md")],
    task: Annotated[str, typer.Option(help=TASK_HELP)] = "",
    data: OwnRows = None,
    evaluation: OwnEvaluation = None,
    text: TextColumns = "text",
    label: LabelColumn = "",
    preset: PresetName = "quick",
    data_dir: DataDir = None,
    length: Length = 0,
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="with torch.compile")] = True,
) -> None:
    """Time and evaluate models in PyTorch, ONNX Runtime and OpenVINO, fp32 and int8; nothing else should run."""
    from benchmark.commands.deployed import DeployedRequest, measure_deployed

    rows = task_for(task, str(models[0]), data, evaluation, text, label)
    request = DeployedRequest(tuple(map(str, models)), rows, out, preset, data_dir, compiled, length)
    paths = measure_deployed(request)
    echo(paths[1].read_text(encoding="utf-8"))
    echo("written: " + ", ".join(map(str, paths)))


@app.command()
def shard(
    model: Annotated[str, typer.Option(help="folder or hub id of a language model")],
    task: Annotated[str, typer.Option(help="text to train the gates on: wikitext2-raw, imdb")],
    sparsity: Annotated[float, typer.Option(help="share of the layers' parameters to remove, in (0, 1)")],
    out: Annotated[Path, typer.Option(help="folder to write masks and the smaller model to")],
    stage: Stage = 3,
    offload: Offload = "",
    checkpointing: Checkpointing = False,
    preset: PresetName = "quick",
    data_dir: DataDir = None,
    seed: Annotated[int, typer.Option(min=0, max=999_999_999, help="random seed")] = 0,
    lora: Annotated[bool, typer.Option(help="train low-rank adapters on the smaller model, and merge them")] = False,
) -> None:
    """Prune a language model held in shards: start it with torchrun --nproc-per-node N -m benchmark shard ..."""
    from benchmark.commands.shard import ShardRequest, shard_model
    from benchmark.runs.progress import progress
    from vtrans.settings import Sharding

    sharding = Sharding(stage, offload, checkpointing)  # type: ignore[arg-type]
    request = ShardRequest(
        model=model,
        task=task,
        sparsity=sparsity,
        out=out,
        sharding=sharding,
        preset=preset,
        data_dir=data_dir,
        seed=seed,
        lora=lora,
    )
    with progress("shard") as report:
        text = shard_model(request, report)
    if text:
        echo(text)


@app.command()
def memory(
    model: Annotated[str, typer.Option(help="folder or hub id of a language model, or llama-2-7b")],
    ranks: Annotated[int, typer.Option(min=1, help="GPUs")] = 1,
    stage: Stage = 3,
    offload: Offload = "",
    checkpointing: Checkpointing = False,
    batch: Annotated[int, typer.Option(min=1, help="sequences per GPU")] = 1,
    length: Annotated[int, typer.Option("--max-length", min=1, help="tokens per sequence")] = 512,
) -> None:
    """Estimate the memory a GPU needs to train gates on a model in shards; nothing is loaded."""
    from benchmark.grid.sharded import estimate
    from benchmark.runs.memory import config_of_model, shape_of
    from vtrans.settings import Sharding

    sharding = Sharding(stage, offload, checkpointing)  # type: ignore[arg-type]
    need = estimate(shape_of(config_of_model(model)), sharding, ranks, batch, length)
    echo("\n".join(need.lines()))
