"""The decision threshold that makes the real size of a model meet its budget."""

from collections.abc import Callable
from typing import Literal

import torch

from vtrans.errors import SuiteError
from vtrans.pruning.counts import Counts
from vtrans.pruning.gates import GateSet
from vtrans.pruning.masks import Masks
from vtrans.pruning.size import Size, removed
from vtrans.settings import Budget, Threshold


def calibrate(
    gates: GateSet, size: Size, budget: Budget, tolerance: float = 0.01, threshold: Threshold = "all"
) -> tuple[Masks, float]:
    """Decide so that the real size, counted as materialised, meets the budget.

    One log-odds threshold is searched for: for all gates, or for `units`, see `Constraint.threshold`. Where the units
    alone cannot meet the budget, it is for all. Heads and sub-layers are coarse: what they leave open is made up with
    FFN units, in the order of their log-odds; where none is left to take, with heads.

    Returns:
        The decision and the threshold.

    Raises:
        SuiteError: nothing comes within `tolerance` of the budget.
    """
    if threshold == "units":
        decision, odds, missed = _calibrate(gates, size, budget, tolerance, lambda t: gates.decide(t, min(t, 0.0)))
        if missed <= tolerance:
            return decision, odds
    decision, odds, missed = _calibrate(gates, size, budget, tolerance, gates.decide)
    if missed > tolerance:
        reached = float(removed(budget, size, Counts.of(decision)))
        raise SuiteError(
            f"sparsity {budget.sparsity} of {budget.counted} is out of reach (closest {reached:.3f})",
            f"ask for about {reached:.2f}, or take another method" if 0 < reached < 1 else "gate more sites",
        )
    return decision, odds


def _calibrate(
    gates: GateSet, size: Size, budget: Budget, tolerance: float, decide: Callable[[float], Masks]
) -> tuple[Masks, float, float]:
    """The decision that comes closest to the budget, its threshold, and by how much it misses."""

    def real(decision: Masks) -> float:
        """Sparsity of a decision as materialised."""
        return float(removed(budget, size, Counts.of(decision)))

    def missed(decision: Masks) -> float:
        """By how much a decision misses the budget."""
        return abs(real(decision) - budget.sparsity)

    def filled(decision: Masks, anew: bool = False) -> Masks:
        """A decision with FFN units making up for what it misses; `anew`, those of layers that have lost all, too."""
        if "ffn" not in gates.gates or missed(decision) <= tolerance / 10:
            return decision
        total = gates["ffn"].n
        gone = search_count(lambda k: real(_with(gates, decision, "ffn", total - k, anew)), budget.sparsity, total)
        return _with(gates, decision, "ffn", total - gone, anew)

    def thinned(decision: Masks) -> Masks:
        """A decision less as few heads as bring the model to the budget once no FFN unit is left."""
        if not {"heads", "ffn"} <= set(gates):
            return decision
        heads = sum(map(len, decision.heads_kept()))
        fewer = (_with(gates, decision, "heads", count) for count in range(heads - 1, 0, -1))
        return next((d for d in fewer if real(_with(gates, d, "ffn", 0)) >= budget.sparsity), decision)

    threshold = bisect(lambda t: real(decide(t)), budget.sparsity, -20.0, 20.0)
    decision = filled(decide(threshold))
    if missed(decision) > tolerance:
        # Just above it units go together that own more than FFN units can give back: below it, FFN units are there.
        threshold = below(lambda t: real(decide(t)), budget.sparsity, -20.0, 20.0)
        decision = filled(decide(threshold))
    if missed(decision) > tolerance:
        decision = filled(fewer := thinned(decide(threshold)))
        decision = decision if missed(decision) <= tolerance else filled(fewer, anew=True)
    return decision, threshold, missed(decision)


def _with(gates: GateSet, decision: Masks, site: Literal["heads", "ffn"], units: int, anew: bool = False) -> Masks:
    """`decision` with that many FFN units, the likeliest of the layers it keeps, or heads, of those that it keeps.

    A layer whose gate is open, and that has lost all of its FFN units, gets some `anew`.
    """
    keep = gates.kept_by(decision)
    kept = torch.tensor(decision.ffn_alive if site == "ffn" else decision.attention_alive)
    if anew:
        kept = torch.stack([gate.detach().cpu() != 0 for gate in decision.ffn_layer])
    choice = kept.repeat_interleave(torch.tensor(gates.groups[site])).to(gates.device)
    if site == "heads":
        choice = choice & keep[site]
    odds = gates[site].log_odds().masked_fill(~choice, float("-inf"))
    best = odds.argsort(descending=True, stable=True)[: min(units, int(choice.sum()))]
    keep[site] = torch.zeros_like(keep[site])
    keep[site][best] = True
    return gates.fixed(keep)


def search_count(function: Callable[[int], float], target: float, most: int) -> int:
    """Whole number in [0, most] at which a rising function comes closest to `target`; the least of several."""
    low, high = 0, most
    while low < high:  # the first number at which the target is reached
        middle = (low + high) // 2
        low, high = (low, middle) if function(middle) >= target else (middle + 1, high)
    candidates = [low - 1, low] if low else [low]
    return min(candidates, key=lambda count: abs(function(count) - target))


def below(function: Callable[[float], float], target: float, low: float, high: float, rounds: int = 40) -> float:
    """Argument in [low, high] where a rising step function is as high as it gets below `target`."""
    for _ in range(rounds):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < target else (low, middle)
    return low


def bisect(function: Callable[[float], float], target: float, low: float, high: float, rounds: int = 40) -> float:
    """Argument in [low, high] where a rising step function comes closest to `target`."""
    best, distance = low, abs(function(low) - target)
    for _ in range(rounds):
        middle = (low + high) / 2
        value = function(middle)
        if abs(value - target) < distance:
            best, distance = middle, abs(value - target)
        low, high = (middle, high) if value < target else (low, middle)
    return best
