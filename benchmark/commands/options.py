"""Options that several commands share, and how their texts are read."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vtrans import ranks
from vtrans.errors import SuiteError

if TYPE_CHECKING:
    from benchmark.tasks.registry import Task

Suite = Annotated[str, typer.Argument(help="suite, see `list suites`")]
PresetName = Annotated[str, typer.Option("--preset", help="scale, see `list presets`")]
Methods = Annotated[str | None, typer.Option(help="methods or rows, comma-separated: VTrans or VTrans-s60")]
Tasks = Annotated[str | None, typer.Option(help="tasks, comma-separated")]
Seeds = Annotated[str | None, typer.Option(help="seeds, comma-separated")]
QUANTITY_HELP = "what sparsity counts: parameters, macs, latency (batch 32) or latency-b1, measured on this machine"
Results = Annotated[Path, typer.Option(help="folder of records and tables")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="folder with TASK/train.jsonl and validation.jsonl")]
SPARSITY_HELP = (
    "share to remove, in (0, 1), of the encoder's parameters unless --denominator or --quantity say otherwise: "
    "0.6 leaves 40 % of the layers, and all embeddings that the method does not prune; not for token methods"
)
DENOMINATOR_HELP = "what the share is of: encoder (layers, without embeddings, pooler and head), or all"
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="a hyper-parameter, METHOD.PATH=VALUE: CoFi.gates.rates.odds=0.1; may be repeated"),
]
ForcedPrecision = Annotated[
    str, typer.Option("--precision", help="auto: bf16 where the device has units for it, else fp32; or one of them")
]
Split = Annotated[str, typer.Option(help="validation to report; dev to select: held out of train, not GLUE's dev set")]
RANKS_HELP = "processes that train each model together, one GPU each; torchrun and the deepspeed launcher do the same"
RankCount = Annotated[int, typer.Option("--ranks", min=1, help=RANKS_HELP)]
Launcher = Annotated[str, typer.Option(help="who runs the cells: local, ray or slurm")]
CLUSTER_HELP = (
    "address of a Ray cluster, empty for this machine's; partition of Slurm, or local: processes like its jobs"
)
ClusterName = Annotated[str, typer.Option("--cluster", help=CLUSTER_HELP)]
CellCores = Annotated[int, typer.Option("--cores", min=1, help="CPU cores per cell, on a cluster")]
CellGpus = Annotated[int, typer.Option("--gpus", min=0, help="GPUs per cell, on a cluster")]
CellHours = Annotated[float, typer.Option("--hours", min=0, help="after which a cell is queued again; 0: no limit")]
Stage = Annotated[
    int, typer.Option("--zero-stage", help="ZeRO stage: 3 shards the weights, 2 does not; 0: plain data parallel")
]
Offload = Annotated[str, typer.Option(help="where shards wait: cpu, the host's memory, or a folder on an NVMe disk")]
Checkpointing = Annotated[
    bool, typer.Option("--gradient-checkpointing", help="recompute activations in the backward pass")
]


JOBS_HELP = "processes that share cells and cores; more steps per second, but latencies are measured beside the others"
Jobs = Annotated[int, typer.Option(min=1, help=JOBS_HELP)]
AxisName = Annotated[str, typer.Option("--axis", help="an ablation axis, see `list axes`; for the suite ablations")]
Timed = Annotated[
    bool, typer.Option("--latency/--no-latency", help="measure latency, which other programs on the machine disturb")
]
Again = Annotated[bool, typer.Option("--again", help="records, too, that have speeds: of a busy machine, or another")]
CacheSize = Annotated[
    float,
    typer.Option(
        "--teacher-cache", min=0, help="GiB that outputs of teachers may take on disk; 0: teachers run in every step"
    ),
]

TASK_HELP = "task, see `list tasks`; or give rows of your own with --data"
OwnRows = Annotated[
    Path | None,
    typer.Option("--data", help="your rows: .csv, .tsv, .jsonl, .parquet, .txt, or a folder that datasets saved"),
]
OwnEvaluation = Annotated[
    Path | None, typer.Option("--eval", help="rows to evaluate on; without it a tenth of --data is held out")
]
TextColumns = Annotated[str, typer.Option("--text", help="column of the text, or of two: a,b or question,context")]
LabelColumn = Annotated[str, typer.Option("--label", help="column of the class, the score or the answers")]
MetricName = Annotated[str, typer.Option("--metric", help="metric to report first; by default by the kind of labels")]
Length = Annotated[
    int,
    typer.Option(
        "--max-length",
        min=0,
        help="tokens that sequences are cut to; 0: the preset's, or where `compress` cut them for this model",
    ),
]


def task_for(
    task: str,
    model: str,
    data: Path | None,
    evaluation: Path | None = None,
    text: str = "text",
    label: str = "",
    metric: str = "",
    *,
    pruned: bool = True,
    whole: bool = False,
) -> "Task":
    """The task of that name, or that of a user's rows for the model.

    Args:
        task: a name, or empty.
        model: folder or name, which may be `pruned`.
        data, evaluation, text, label, metric: as of `OwnData`, columns between commas.
        pruned: whether the model may be pruned.
        whole: whether all of `data` is evaluated, and nothing trained or calibrated on.

    Raises:
        SuiteError: neither is named, or both are, or the rows are not what they are said to be.
    """
    from benchmark.commands.user_model import find_model
    from benchmark.tasks.own import OwnData, own_task
    from benchmark.tasks.registry import get_task

    if bool(task) == (data is not None):
        which = "both --task and --data are given" if task else "no rows are named"
        raise SuiteError(which, "give --task NAME, or --data FILE --text COLUMN --label COLUMN")
    if data is None:
        if evaluation or label or metric or text != "text":
            raise SuiteError(
                "--eval, --text, --label and --metric are for rows of --data", "leave them out with --task"
            )
        return get_task(task)
    own = OwnData(data, evaluation, tuple(split_names(text)), label, metric)
    return own_task(own, find_model(model, pruned), whole)


def warn_if_emulated(asked: str) -> None:
    """Check a precision that is forced; warn where the device only emulates it."""
    if asked in ("", "auto"):
        return
    from benchmark.common.device import device
    from vtrans.training.precision import check_precision

    if warning := check_precision(asked, device()):
        sys.stderr.write(f"warning: {warning}\n")


def selected(option: str, text: str | None) -> list[str]:
    """Names of a selection; none stands for all where the option was not given."""
    from benchmark.grid.rows import split_rows

    names = split_rows(text or "")
    if text is not None and not names:  # an empty variable in a script must not start the whole grid
        raise SuiteError(f"--{option} names nothing", "leave the option out for all of them")
    return names


def split_names(text: str) -> list[str]:
    """Names between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def is_seed(text: str) -> bool:
    """True for the text of a seed; an error for any other."""
    if not (text.isdecimal() and text.isascii() and len(text) < 10):
        raise SuiteError(f"seed {text!r} is no whole number from 0 to 999,999,999", "write --seeds 0,1,2")
    return True


def echo(text: str) -> None:
    """Print a line to standard output; of several ranks, the first one does."""
    if ranks.launched_rank():
        return
    sys.stdout.write(text + "\n")
