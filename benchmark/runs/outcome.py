"""Everything that a row carries, measured on the materialised model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from benchmark.common.device import autocast, device
from benchmark.records.memory import PeakMemory
from benchmark.records.schema import Compute, Macs, Outcome, Parameters, Ranks, Sparsity
from benchmark.runs.task_context import TaskContext
from benchmark.tasks import sentences
from benchmark.tasks.kind import Scored
from benchmark.tasks.registry import also_name
from vtrans import ranks
from vtrans.errors import SuiteError
from vtrans.settings import Budget

if TYPE_CHECKING:
    from torch import nn

    from vtrans.methods.base import CompressionState
    from vtrans.training.loop import RunContext
    from vtrans.training.precision import Used


@dataclass(frozen=True)
class Measured:
    """What was found: the outcome, and the predictions that its metrics are made from."""

    outcome: Outcome
    predictions: "dict[str, np.ndarray]"


def measure(
    budget: Budget | None,
    dense: "nn.Module",
    small: "nn.Module",
    context: TaskContext,
    state: "CompressionState",
    peak: PeakMemory,
) -> Measured:
    """Everything that a row carries, on the smaller model: materialised, and its dropped tokens gone.

    Args:
        budget: static size that was asked for, where one was.
        dense: the fine-tuned model.
        small: the compressed one.
        context: task and data.
        state: what the stages found and took.
        peak: memory since the run began.
    """
    from benchmark.measure.latency import compare
    from vtrans.anatomy import Widths

    report = state.report | {"widths": Widths.of(small).to_json()}
    seconds = report.pop("seconds", {})
    if context.zero_shot:
        report["zero_shot_rows"] = {name: len(items) for name, items in context.zero_shot.items()}
    latency = ranks.on_first_rank(
        lambda: [compare(dense.eval(), small.eval(), context.evaluation, batch) for batch in context.latency]
    )
    if context.kind.decodes and latency:
        report["generation"] = ranks.on_first_rank(lambda: generation_speed(dense, small, context))
    with autocast(context.precision):
        scored = context.kind.evaluate(context.task, small, context.evaluation)
        words = dropped_words(small, context)
        more = [second_scores(small, context), zero_shot_scores(small, context)]
    outcome = Outcome(
        metrics=scored.metrics | more[0].metrics | more[1].metrics,
        sparsity=reached(budget, dense, small, latency),
        parameters=count_parameters(dense, small),
        macs=count(dense, small, scored, context),
        tokens=kept_tokens(scored, context),
        latency=latency,
        seconds={name: round(value, 3) for name, value in seconds.items()},
        compute=compute_of(state.run_context, context, peak),
        report=report | ({"dropped": words} if words else {}),
    )
    return Measured(outcome, scored.predictions | more[0].predictions | more[1].predictions)


def generation_speed(dense: "nn.Module", small: "nn.Module", context: TaskContext) -> dict[str, Any]:
    """Tokens per second of both models, of prompts and texts that fit into the positions together."""
    from benchmark.measure.generation import NEW, generation

    prompt = context.max_length // 2
    return generation(dense, small, context.evaluation, prompt, min(NEW, prompt))


def compute_of(run: "RunContext", context: TaskContext, peak: PeakMemory) -> Compute:
    """What a run was computed with, and how near it came to the rate of the machine's matrix products."""
    import torch

    from vtrans.training.precision import matmul_rate, resolve

    flops = {name: value for name, value in run.flops.items() if value}
    used = {name: run.precisions[name].split(" and ")[-1] for name in flops}
    rates = {name: matmul_rate(device().type, cast("Used", name)) for name in sorted(set(used.values()))}
    taken = sum(run.elapsed[name] for name in flops)
    ideal = sum(flops[name] / rates[used[name]] for name in flops) / ranks.world_size()
    return Compute(
        precision=dict(run.precisions),
        evaluation_precision=resolve(context.precision, device()),
        threads=torch.get_num_threads(),
        training_flops=sum(flops.values()) if flops else None,
        matmul_flops_per_second={name: round(rate) for name, rate in rates.items()},
        utilisation=round(ideal / taken, 4) if taken else None,
        peak_memory_bytes=peak.host(),
        peak_device_bytes=peak.device(),
        ranks=ranks_of(run, peak),
    )


def ranks_of(run: "RunContext", peak: PeakMemory) -> Ranks | None:
    """How several processes trained together; None for one."""
    sharding, taken = run.engine.sharding, sum(run.elapsed.values())
    if sharding is None:
        return None
    offload = sharding.offload if sharding.offload in ("", "cpu") else "nvme"
    return Ranks(
        count=ranks.world_size(),
        stage=sharding.stage,
        offload=offload,
        checkpointing=sharding.checkpointing,
        peak_memory_bytes=ranks.all_gather(peak.device() or peak.host()),
        tokens_per_second=round(sum(run.tokens.values()) / taken) if taken else None,
    )


def second_scores(model: "nn.Module", context: TaskContext) -> Scored:
    """Metrics and predictions on the task's second validation split; nothing where there is none."""
    if context.also is None:
        return Scored({})
    found = context.kind.evaluate(context.task, model, context.also)
    metrics = {also_name(name): value for name, value in found.metrics.items()}
    return Scored(metrics, predictions={also_name(name): array for name, array in found.predictions.items()})


def dropped_words(model: "nn.Module", context: TaskContext) -> list[dict[str, list[Any]]]:
    """Where a model drops each token of the task's own sentences, see `benchmark.measure.dropped`."""
    from benchmark.measure.dropped import dropped
    from vtrans.tokens import token_pruning_encoder

    rows = sentences.rows(context.task) if token_pruning_encoder(model) else []
    if not rows:
        return []
    examples = context.kind.encode_for(context.source, context.task, rows, context.tokenizer, context.max_length)
    return dropped(model, examples, context.tokenizer)


def zero_shot_scores(model: "nn.Module", context: TaskContext) -> Scored:
    """Metrics and hits of all zero-shot tasks; nothing where the preset has none."""
    from benchmark.tasks.multiple_choice.items import score_items

    metrics, hits = dict[str, float](), dict[str, np.ndarray]()
    for name, items in context.zero_shot.items():
        found = score_items(name, model, context.tokenizer, items)
        metrics, hits = metrics | found.metrics, hits | found.predictions
    return Scored(metrics, predictions=hits)


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
        if not latency:
            raise SuiteError("a share of latency has to be measured, on an idle machine", "run without --no-latency")
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
