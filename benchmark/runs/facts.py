"""What the card of a model says of its run: the record's numbers."""

from typing import TYPE_CHECKING

from benchmark.records.schema import Outcome
from benchmark.runs.task_context import TaskContext

if TYPE_CHECKING:
    from vtrans.saving.card import Facts


def facts(method: str, context: TaskContext, outcome: Outcome) -> "Facts":
    """Method, scores, size and speed of a model, for its card."""
    from vtrans.saving.card import Facts

    caveat = context.data.caveat(context.task)
    p, rows = outcome.parameters, context.kind.count(context.data.evaluation, context.evaluation)
    before = ", ".join(f"{name} {value:.4g}" for name, value in outcome.report.get("dense_metrics", {}).items())
    lines = [
        *([f"The model that it was made from has {before} on them."] if before else []),
        f"It has {p.all:,} of {p.dense_all:,} parameters, {p.encoder:,} of {p.dense_encoder:,} in the encoder, "
        f"and takes {outcome.macs.speedup('unpadded'):.1f} times fewer MACs without padding.",
        *(
            f"It was measured {each['speedup'][1]:.1f} times as fast as the dense model at batch {each['batch']}."
            for each in outcome.latency
        ),
        *([f"Of the task: {caveat}."] if caveat else []),
    ]
    name = context.task.source.evaluated or context.task.name
    return Facts(method, name, outcome.metrics, rows, lines, context.source)
