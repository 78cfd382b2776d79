"""The program itself: what it says without a command, and what it can list."""

from enum import StrEnum
from typing import Annotated

import typer

from benchmark.commands.options import echo

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
