"""Everything that a row carries, measured on the materialised model."""

from typing import TYPE_CHECKING, Any

from benchmark.bench import Bench
from benchmark.provenance import peak_memory_bytes
from benchmark.records import Macs, Outcome, Parameters, Sparsity
from benchmark.tasks import also_name
from vtrans.settings import Budget

if TYPE_CHECKING:
    from torch import nn

LATENCY_BATCHES = (1, 32)


def measure(method: Any, dense: "nn.Module", small: "nn.Module", bench: Bench, report: dict[str, Any]) -> Outcome:
    """Everything that a row carries, on the materialised model."""
    from benchmark.flops import MacCurve
    from benchmark.latency import compare

    report = dict(report)
    seconds = report.pop("seconds", {})
    parameters = count_parameters(dense, small)
    lengths, fixed = bench.evaluation.lengths, bench.task.fixed_length
    return Outcome(
        metrics=all_metrics(small, bench),
        sparsity=reached(getattr(method, "budget", None), dense, small),
        parameters=parameters,
        macs=Macs(
            compressed=MacCurve.of(small).regimes(lengths, fixed),
            dense=MacCurve.of(dense).regimes(lengths, fixed),
            fixed_length=fixed,
        ),
        latency=[compare(dense.eval(), small, bench.evaluation, batch) for batch in LATENCY_BATCHES],
        seconds={name: round(value, 3) for name, value in seconds.items()},
        peak_memory_bytes=peak_memory_bytes(),
        report=report,
    )


def all_metrics(model: "nn.Module", bench: Bench) -> dict[str, float]:
    """Metrics of the task, on its second validation split too where there is one, in percent."""
    from benchmark.evaluation import evaluate_task

    metrics = evaluate_task(model, bench.task, bench.evaluation)
    if bench.also is not None:
        more = evaluate_task(model, bench.task, bench.also)
        metrics |= {also_name(name): value for name, value in more.items()}
    return metrics


def count_parameters(dense: "nn.Module", small: "nn.Module") -> Parameters:
    """Parameters of both models: all by counting tensors, the encoder's by the closed form of their anatomy."""
    from vtrans.size import Size

    total = {name: sum(p.numel() for p in model.parameters()) for name, model in (("s", small), ("d", dense))}
    sizes = {name: Size.of(model) for name, model in (("s", small), ("d", dense))}
    encoder = {name: round(float(size.parameters(size.dense))) for name, size in sizes.items()}
    return Parameters(all=total["s"], encoder=encoder["s"], dense_all=total["d"], dense_encoder=encoder["d"])


def reached(budget: Budget | None, dense: "nn.Module", small: "nn.Module") -> Sparsity | None:
    """The sparsity of the materialised model in the denominator of its budget; None for the dense row."""
    from vtrans.size import Size, amount

    if budget is None:
        return None
    amounts = [float(amount(budget, size, size.dense)) for size in (Size.of(small), Size.of(dense))]
    real = 1 - amounts[0] / amounts[1]
    return Sparsity(
        target=budget.sparsity, real=round(real, 5), quantity=budget.quantity, denominator=budget.denominator
    )
