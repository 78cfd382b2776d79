"""Everything that a row carries, measured on the materialised model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchmark.common.device import autocast, device
from benchmark.records.provenance import peak_memory_bytes
from benchmark.records.schema import Macs, Outcome, Parameters, Sparsity
from benchmark.runs.task_context import TaskContext
from benchmark.tasks.kind import Scored
from benchmark.tasks.registry import also_name
from vtrans.settings import Budget

if TYPE_CHECKING:
    from torch import nn


def measure(
    budget: Budget | None, dense: "nn.Module", small: "nn.Module", context: TaskContext, report: dict[str, Any]
) -> Outcome:
    """Everything that a row carries, on the smaller model: materialised, and its dropped tokens gone.

    Args:
        budget: static size that was asked for, where one was.
        dense: the fine-tuned model.
        small: the compressed one.
        context: task and data.
        report: what the stages found.
    """
    from benchmark.measure.latency import compare
    from vtrans.training.precision import resolve

    report = dict(report)
    seconds = report.pop("seconds", {})
    if context.zero_shot:
        report["zero_shot_rows"] = {name: len(items) for name, items in context.zero_shot.items()}
    report |= {"evaluation_precision": resolve(context.precision, device())}
    latency = [compare(dense.eval(), small.eval(), context.evaluation, batch) for batch in context.latency]
    with autocast(context.precision):
        scored = context.kind.evaluate(context.task, small, context.evaluation)
        metrics = scored.metrics | second_metrics(small, context) | zero_shot_metrics(small, context)
    return Outcome(
        metrics=metrics,
        sparsity=reached(budget, dense, small, latency),
        parameters=count_parameters(dense, small),
        macs=count(dense, small, scored, context),
        tokens=kept_tokens(scored, context),
        latency=latency,
        seconds={name: round(value, 3) for name, value in seconds.items()},
        peak_memory_bytes=peak_memory_bytes(),
        report=report,
    )


def second_metrics(model: "nn.Module", context: TaskContext) -> dict[str, float]:
    """Metrics on the task's second validation split, in percent; empty where there is none."""
    if context.also is None:
        return {}
    scores = context.kind.evaluate(context.task, model, context.also).metrics
    return {also_name(name): value for name, value in scores.items()}


def zero_shot_metrics(model: "nn.Module", context: TaskContext) -> dict[str, float]:
    """Metrics of all zero-shot tasks; empty where the preset has none."""
    from benchmark.tasks.multiple_choice.items import score_items

    found: dict[str, float] = {}
    for name, items in context.zero_shot.items():
        found |= score_items(name, model, context.tokenizer, items)
    return found


def count(dense: "nn.Module", small: "nn.Module", scored: Scored, context: TaskContext) -> Macs:
    """MACs of both models in all regimes; of one that drops tokens, from the lengths of its evaluation pass."""
    from benchmark.measure.macs import MacCurve
    from benchmark.measure.token_macs import check_closed_form, dynamic_regimes

    lengths, fixed = context.evaluation.lengths, context.fixed_length
    if scored.lengths is None:
        compressed = MacCurve.of(small).regimes(lengths, fixed)
    else:
        check_closed_form(small, context.evaluation)
        compressed = dynamic_regimes(small, scored.lengths, lengths)
    return Macs(compressed=compressed, dense=MacCurve.of(dense).regimes(lengths, fixed), fixed_length=fixed)


def kept_tokens(scored: Scored, context: TaskContext) -> list[float] | None:
    """Share of the real tokens that each layer's FFN sees, over all rows; None for a model that drops none."""
    if scored.lengths is None:
        return None
    shares = scored.lengths[:, :, 2].sum(0) / sum(context.evaluation.lengths)
    return [round(float(share), 5) for share in shares]


def count_parameters(dense: "nn.Module", small: "nn.Module") -> Parameters:
    """Parameters of both models: all by counting tensors, the encoder's by closed form, predictors included."""
    from vtrans.pruning.size import Size
    from vtrans.tokens.macs import selector_parameters

    total = {name: sum(p.numel() for p in model.parameters()) for name, model in (("s", small), ("d", dense))}
    sizes = {name: Size.of(model) for name, model in (("s", small), ("d", dense))}
    encoder = {name: round(float(size.parameters(size.dense))) for name, size in sizes.items()}
    encoder["s"] += selector_parameters(small)
    return Parameters(all=total["s"], encoder=encoder["s"], dense_all=total["d"], dense_encoder=encoder["d"])


def reached(
    budget: Budget | None, dense: "nn.Module", small: "nn.Module", latency: Sequence[dict[str, Any]]
) -> Sparsity | None:
    """The sparsity of the materialised model in what its budget counts; None for the dense row.

    Of a budget in milliseconds it is what the measured speed-up saves, at real lengths, whatever the table foretold.
    """
    from vtrans.pruning.size import Size, amount

    if budget is None:
        return None
    if budget.quantity.startswith("latency"):
        real = 1 - 1 / latency[0 if budget.quantity == "latency-b1" else 1]["speedup"][1]
    else:
        amounts = [float(amount(budget, size, size.dense)) for size in (Size.of(small), Size.of(dense))]
        real = 1 - amounts[0] / amounts[1]
    return Sparsity(
        target=budget.sparsity,
        real=round(real, 5),
        quantity=budget.quantity,
        denominator="all" if budget.quantity.startswith("latency") else budget.denominator,
    )
