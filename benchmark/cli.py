"""The command line `vtrans-bench`. Commands import what they need when they run, so that it starts fast."""

import sys
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from benchmark.commands.options import (
    DENOMINATOR_HELP,
    QUANTITY_HELP,
    SPARSITY_HELP,
    TASK_HELP,
    Again,
    AxisName,
    CacheSize,
    CellCores,
    CellGpus,
    CellHours,
    Checkpointing,
    ClusterName,
    DataDir,
    ForcedPrecision,
    Jobs,
    LabelColumn,
    Launcher,
    Length,
    Methods,
    MetricName,
    Offload,
    OwnEvaluation,
    OwnRows,
    PresetName,
    RankCount,
    Results,
    Seeds,
    SetOption,
    Split,
    Stage,
    Suite,
    Tasks,
    TextColumns,
    Timed,
    echo,
    split_names,
    task_for,
    warn_if_emulated,
)
from vtrans import ranks
from vtrans.errors import SuiteError

if TYPE_CHECKING:
    from vtrans.settings import Denominator, Precision, Quantity

app = typer.Typer(
    name="vtrans-bench",
    help="A reproducible benchmark suite for compressing Transformers.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        from benchmark.records.provenance import installed_version

        echo(f"vtrans-bench {installed_version('vtrans-bench')}")
        raise typer.Exit


START = """\
vtrans-bench compresses Transformers, and measures what that costs and brings.

  vtrans-bench run glue              the quick table: fine-tune, prune, measure; minutes on two cores, no hub, no GPU
  vtrans-bench compress --model MODEL --data rows.csv --text text --label label \\
      --method VTrans --sparsity 0.8 --out small
                                     a model and rows of yours in, a smaller model out
  vtrans-bench export small --out graph --int8
                                     the same as an ONNX or OpenVINO graph
  vtrans-bench report                one page of all that was measured
  vtrans-bench list                  methods, tasks, models, presets, suites, axes, quantities
  vtrans-bench --help                all commands
"""


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """A reproducible benchmark suite for compressing Transformers."""
    if context.invoked_subcommand is None:
        echo(START.rstrip())


class Listing(StrEnum):
    """What `list` can list."""

    METHODS = "methods"
    TASKS = "tasks"
    MODELS = "models"
    PRESETS = "presets"
    SUITES = "suites"
    AXES = "axes"
    QUANTITIES = "quantities"


@app.command(name="list")
def list_(what: Annotated[Listing | None, typer.Argument()] = None) -> None:
    """List methods, tasks, models, presets, suites, ablation axes, and quantities that claims may name."""
    for kind in [what] if what else list(Listing):
        names = listing(kind)
        width = max(len(name) for name in names)
        echo(f"{kind.value}:")
        for name, summary in names.items():
            echo(f"  {name:{width}}  {summary}")


def listing(kind: Listing) -> dict[str, str]:
    """Names of a kind and a line on each."""
    from benchmark.grid.axes import AXES
    from benchmark.grid.methods import JOINT, METHODS
    from benchmark.grid.suites import SUITES
    from benchmark.models.registry import MODELS
    from benchmark.reports.claims.quantities import summaries
    from benchmark.tasks.registry import TASKS

    return {
        Listing.METHODS: {name: method.summary for name, method in METHODS.items()}
        | {name: f"= {row}" for name, row in JOINT.items()},
        Listing.TASKS: {name: ", ".join(task.metrics) for name, task in TASKS.items()},
        Listing.MODELS: {name: spec.note or f"{spec.hub}@{spec.revision[:12]}" for name, spec in MODELS.items()},
        Listing.PRESETS: {
            f"{suite} {name}": preset.summary
            for suite, entry in SUITES.items()
            for name, preset in entry.presets.items()
        },
        Listing.SUITES: {name: suite.summary for name, suite in SUITES.items()},
        Listing.AXES: {name: axis.summary for name, axis in AXES.items()},
        Listing.QUANTITIES: summaries(),
    }[kind]


@app.command()
def plan(
    suite: Suite,
    preset: PresetName = "quick",
    methods: Methods = None,
    tasks: Tasks = None,
    seeds: Seeds = None,
    results: Results = Path("results"),
    split: Split = "validation",
    settings: SetOption = None,
    tflops: Annotated[float, typer.Option(min=0, help="throughput of the estimate; 0: the preset's")] = 0.0,
    axis: AxisName = "",
) -> None:
    """Show every cell with its state (done, missing, stale, failed, cancelled) and what those to run would take."""
    from benchmark.commands.selection import Selection

    chosen = Selection(suite, preset, results, methods, tasks, seeds, split, settings=settings or (), axis=axis)
    found = chosen.grids()
    cells = [cell for _, each in found for cell in each]
    states = [store.state(cell) for store, each in found for cell in each]
    for cell, state in zip(cells, states, strict=True):
        echo(f"{state:9} {cell.key} {cell.name}")
    counts = {state: states.count(state) for state in dict.fromkeys(states)}
    echo(f"{len(cells)} cells: " + ", ".join(f"{count} {state}" for state, count in counts.items()))
    todo = [cell for cell, state in zip(cells, states, strict=True) if state != "done"]
    if todo:
        from benchmark.grid import cost
        from benchmark.records.store import with_missing

        scale = todo[0].preset
        needed = [c for store, each in found for c in with_missing([c for c in each if c in todo], store)]
        if more := [cell for cell in dict.fromkeys(needed) if cell not in todo]:
            echo(f"trained before them, because weights are missing: {', '.join(cell.name for cell in more)}")
        todo = [*more, *todo]
        echo("\n".join(cost.lines(cost.cost(todo), preset, tflops or scale.tflops, scale.gpu)))
        if scale.gpu:
            from benchmark.runs.memory import available

            echo("\n".join(cost.memory_lines(todo, available())))


@app.command()
def run(
    suite: Suite,
    preset: PresetName = "quick",
    methods: Methods = None,
    tasks: Tasks = None,
    seeds: Seeds = None,
    data_dir: DataDir = None,
    results: Results = Path("results"),
    split: Split = "validation",
    precision: ForcedPrecision = "auto",
    settings: SetOption = None,
    teacher_cache: CacheSize = 8.0,
    jobs: Jobs = 1,
    timed: Timed = True,
    axis: AxisName = "",
    ranks: RankCount = 1,
    stage: Stage = 0,
    offload: Offload = "",
    checkpointing: Checkpointing = False,
    launcher: Launcher = "local",
    cluster: ClusterName = "",
    cores: CellCores = 1,
    gpus: CellGpus = 0,
    hours: CellHours = 0.0,
) -> None:
    """Run the cells that have no complete record, then write and print the table."""
    from benchmark.commands import run as command
    from benchmark.commands.selection import Selection
    from benchmark.runs.clusters.base import Resources

    warn_if_emulated(precision)
    sharding, resources = (ranks, stage, offload, checkpointing), Resources(cores, gpus, hours)
    how = command.How(data_dir, teacher_cache, jobs, timed, *sharding, launcher, cluster, resources)
    chosen = Selection(suite, preset, results, methods, tasks, seeds, split, precision, settings or (), axis)
    if code := command.run(chosen, how):
        raise typer.Exit(code)


@app.command(name="time")
def time_(
    suite: Suite,
    preset: PresetName = "quick",
    methods: Methods = None,
    tasks: Tasks = None,
    seeds: Seeds = None,
    data_dir: DataDir = None,
    results: Results = Path("results"),
    split: Split = "validation",
    again: Again = False,
) -> None:
    """Measure here the speeds that records made with --no-latency lack; nothing else should run meanwhile."""
    from benchmark.commands.selection import Selection
    from benchmark.reports.tables import recorded_cells
    from benchmark.runs.later import time_records, to_be_timed
    from benchmark.runs.progress import GridProgress

    chosen = Selection(suite, preset, results, methods, tasks, seeds, split)
    store, cells = chosen.grid()
    if not (methods or tasks or seeds):
        cells = recorded_cells(store, suite, preset, split)
    todo = to_be_timed(cells, store, again)
    echo(f"{len(todo)} records to be timed")
    if todo:
        time_records(cells, store, data_dir, GridProgress([cell.name for cell in todo]), again)
        chosen.show()


@app.command()
def cache(
    suite: Suite,
    preset: PresetName = "quick",
    results: Results = Path("results"),
    remove: Annotated[bool, typer.Option("--remove", help="delete these outputs")] = False,
) -> None:
    """Show what the kept outputs of teachers take on disk, and remove them if asked to; runs make them again."""
    from benchmark.grid.suites import get_preset
    from benchmark.records.store import Store

    get_preset(preset, suite)
    found = Store(results, suite, preset).teacher_cache
    assert found is not None, "a store without a size of its own keeps outputs"
    sizes = found.entries()
    echo(f"{len(sizes)} sets of teacher outputs, {sum(sizes.values()) / 2**30:.2f} GiB, in {found.folder}")
    if remove:
        found.clear()
        echo("removed")


@app.command()
def tables(
    suite: Suite,
    preset: PresetName = "quick",
    results: Results = Path("results"),
    split: Split = "validation",
    axis: AxisName = "",
) -> None:
    """Build the tables from the complete records: markdown, CSV and LaTeX; or those of an ablation axis."""
    from benchmark.commands.selection import Selection

    chosen = Selection(suite, preset, results, split=split, axis=axis)
    chosen.grids()  # which raises for what there is not
    chosen.show()


@app.command()
def compare(
    suite: Suite,
    against: Annotated[
        str, typer.Option("--against", help="a row, or a method: then each row is compared with it at its own size")
    ],
    preset: PresetName = "quick",
    methods: Methods = None,
    tasks: Tasks = None,
    results: Results = Path("results"),
    split: Split = "validation",
) -> None:
    """Compare rows that have records with another row: differences with intervals, and p corrected for all of them."""
    from benchmark.commands.options import selected
    from benchmark.grid.suites import get_preset
    from benchmark.records.store import Store
    from benchmark.reports import compare as report

    store = Store(results, suite, get_preset(preset, suite).name)
    path = report.write(store, selected("methods", methods), against, selected("tasks", tasks), split)
    echo(path.read_text(encoding="utf-8"))
    echo(f"written: {path}")


@app.command()
def paper(
    name: Annotated[str, typer.Argument(help="paper whose tables and figures to write: infor-coef, vtrans")],
    preset: PresetName = "quick",
    results: Results = Path("results"),
) -> None:
    """Write a paper's tables and figures from the records, printed cells beside measured ones."""
    from benchmark.grid.suites import get_preset
    from benchmark.reports.infor_coef import tables as infor_coef
    from benchmark.reports.vtrans import tables as vtrans
    from vtrans.errors import did_you_mean

    papers = {"infor-coef": infor_coef, "vtrans": vtrans}
    if name not in papers:
        raise did_you_mean("paper", name, list(papers))
    paths = papers[name].write(results, get_preset(preset).name)
    echo(paths[0].read_text(encoding="utf-8"))
    echo("written: " + ", ".join(map(str, paths)))


@app.command()
def claims(
    preset: Annotated[str, typer.Option(help="preset whose records are asked; by default what each claim names")] = "",
    results: Results = Path("results"),
    file: Annotated[
        Path | None, typer.Option("--file", help="claims of your own, TOML, in the place of the suite's")
    ] = None,
) -> None:
    """Say of each claim of the papers what the records say: supported, contradicted, inconclusive or not run."""
    from benchmark.grid.suites import get_preset
    from benchmark.reports.claims import declared, page, verdicts

    if preset:
        get_preset(preset)
    judged = verdicts.judge(declared.load(file) if file else declared.load(), results, preset)
    path = page.write(judged, results, *([file.stem] if file else []), *(["preset", preset] if preset else []))
    echo(path.read_text(encoding="utf-8"))
    echo(f"written: {path}")


@app.command()
def watch(
    preset: PresetName = "quick",
    results: Results = Path("results"),
    every: Annotated[float, typer.Option(min=0.5, help="seconds between two looks")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="look once and end")] = False,
    page: Annotated[bool, typer.Option("--page", help="write the page of the preset anew each time, too")] = False,
) -> None:
    """Watch a grid that another terminal runs: cells by state, and the curves of those that run now."""
    from benchmark.commands import watch as command
    from benchmark.grid.suites import get_preset

    get_preset(preset)
    if once:
        command.show(results, preset)
        return
    with suppress(KeyboardInterrupt):
        command.watch(results, preset, every, page)


@app.command()
def report(preset: PresetName = "quick", results: Results = Path("results")) -> None:
    """Write one page of all that a preset's records say, which needs no network, and its figures as SVG and PDF."""
    from benchmark.grid.suites import get_preset
    from benchmark.reports.page.write import write

    get_preset(preset)
    echo("written: " + ", ".join(map(str, write(results, preset))))


@app.command()
def probe(
    runs: Annotated[list[Path], typer.Argument(help="records of one pruned row, one per seed")],
    data_dir: DataDir = None,
) -> None:
    """Compare where kept and pruned heads of the dense model look: a table and a figure beside the records."""
    from benchmark.reports.attention.probe import probe
    from benchmark.runs.progress import progress

    with progress("probe") as report:
        paths = probe(runs, data_dir, report)
    echo(paths[0].read_text(encoding="utf-8"))
    echo("written: " + ", ".join(map(str, paths)))


@app.command()
def validate(results: Results = Path("results")) -> None:
    """Check every record under the results folder, and what was measured of it later, against schemas and digests."""
    from benchmark.records.attention import read_attention
    from benchmark.records.store import read_record

    paths = sorted(results.glob("**/runs/*.json"))
    if not paths:
        raise SuiteError(f"no record under {results}", "name the folder with --results")
    aside = sorted(results.glob("**/runs/*.corrupt"))
    problems = [f"{path} was set aside as damaged; restore it, or remove it and run the cell again" for path in aside]
    for path in paths:
        try:
            read_record(path)
        except SuiteError as error:
            problems.append(str(error))
    probed = sorted(results.glob("**/probe/*.json"))
    for path in probed:
        try:
            read_attention(path.parents[1] / "runs" / path.name, path.stem.rpartition("--")[2])
        except SuiteError as error:
            problems.append(str(error))
    for problem in problems:
        echo(problem)
    if problems:
        known = len(paths) + len(aside) + len(probed)
        raise SuiteError(f"{len(problems)} of {known} records are not valid", "see the lines above")
    echo(f"{len(paths)} records are valid")


@app.command()
def compress(
    model: Annotated[str, typer.Option(help="folder of a transformers model, a name of `list models`, or a hub id")],
    method: Annotated[str, typer.Option(help="method, see `list methods`, or two: CoFi+Infor-Coef")],
    out: Annotated[Path, typer.Option(help="folder to write the smaller model to")],
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


def main() -> None:
    """Entry point: errors of the suite become one line and their exit code."""
    try:
        app()
    except SuiteError as error:
        end(error)
    except RuntimeError as error:
        if not ranks.is_lost(error):
            raise
        end(ranks.lost())


def end(error: SuiteError) -> None:
    """End with the error as one line; of several ranks, the first one writes it."""
    sys.stdout.flush()
    if ranks.launched_rank() == 0:
        sys.stderr.write(f"error: {error}\n")
    sys.exit(error.exit_code)
