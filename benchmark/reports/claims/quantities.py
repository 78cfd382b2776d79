"""Numbers that claims are made of, beside the metrics: of records, of heads that were probed, of schedules."""

from collections.abc import Callable

from benchmark.grid.cells import Cell
from benchmark.grid.cost import training_flops
from benchmark.records.schema import Outcome

METRIC = "metric"  # the task's first one, with an interval over examples, too
HEADS = {  # correlations of heads, with an interval over these, too; by the target of attention
    f"rho within layers of kept heads with attention to {text}": target
    for target, text in (("special", "special tokens"), ("self", "the token itself"), ("content", "content words"))
}


def _time(index: int) -> Callable[[Outcome], float | None]:
    return lambda outcome: outcome.time_speedup(index)


def _macs(regime: str) -> Callable[[Outcome], float | None]:
    return lambda outcome: outcome.macs.speedup(regime)


def _size_error(outcome: Outcome) -> float | None:
    found = outcome.sparsity
    return 100 * abs(found.real - found.target) if found else None


def _own_size_error(outcome: Outcome) -> float | None:
    found, reached = outcome.sparsity, outcome.report.get("pruning", {}).get("sparsity_at_threshold_0")
    return 100 * abs(reached - found.target) if found and reached is not None else None


QUANTITIES: dict[str, Callable[[Outcome], float | None]] = {
    "encoder parameters kept, %": lambda o: 100 * o.parameters.kept("encoder"),
    "all parameters kept, %": lambda o: 100 * o.parameters.kept("all"),
    "MACs speed-up, unpadded": _macs("unpadded"),
    "MACs speed-up, batch": _macs("batch"),
    "MACs speed-up, sequence": _macs("sequence"),
    "MACs speed-up, sequence over unpadded": lambda o: o.macs.speedup("sequence") / o.macs.speedup("unpadded"),
    "time speed-up, batch 1": _time(0),
    "time speed-up, batch 32": _time(1),
    "efficiency, batch 32": lambda o: o.efficiency(1),
    "training FLOPs": lambda o: o.compute.training_flops,
    "training seconds": lambda o: sum(o.seconds.values()),
    "distance from the target size, points": _size_error,
    "distance from the target size before the threshold moves, points": _own_size_error,
    "tokens in the last layer, %": lambda o: 100 * o.tokens[-1] if o.tokens else None,
}
TIMED = ("time speed-up, batch 1", "time speed-up, batch 32", "efficiency, batch 32")  # of latencies
PLANNED: dict[str, Callable[[Cell], float]] = {"training FLOPs, by plan": training_flops}  # of cells, without records
NAMES = (METRIC, *HEADS, *QUANTITIES, *PLANNED)


def summaries() -> dict[str, str]:
    """Where each quantity comes from, for people."""
    return (
        {METRIC: "of predictions: the task's first metric, as in its table"}
        | dict.fromkeys(HEADS, "of heads that `vtrans-bench probe` measured")
        | dict.fromkeys(QUANTITIES, "of records")
        | dict.fromkeys(PLANNED, "of schedules and shapes: nothing has to be run")
    )
