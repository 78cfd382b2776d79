"""Widths that hardware likes: multiples of 8 to 128 (post-adapt of TVA-prune, section 2.4)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vtrans.gates import GateSet
from vtrans.method import Job, Stage
from vtrans.multipliers import Multipliers


@dataclass(frozen=True)
class RoundWidths(Stage):
    """Round the hidden width and each layer's FFN to the nearest multiple, ties up, by the order of the gates.

    The size then misses its budget by what rounding adds or takes. Heads are not rounded.
    """

    multiple: int

    def run(self, job: Job) -> None:
        """Change `job.decision`."""
        assert job.gates is not None and job.decision is not None, "RoundWidths follows Prune"
        job.decision = round_widths(job.gates, job.decision, self.multiple)
        job.report["rounded_to"] = self.multiple
        job.report.setdefault("pruning", {})["kept"] = job.decision.kept()


def round_widths(gates: GateSet, decision: Multipliers, multiple: int) -> Multipliers:
    """`decision` with hidden and FFN widths that are multiples, or whole where the model itself is narrower."""
    keep = gates.kept_by(decision)
    for site in ("hidden", "ffn"):
        if site in keep:
            odds, groups = gates[site].log_odds(), gates.groups[site]
            parts = zip(keep[site].split(groups), odds.split(groups), strict=True)
            keep[site] = torch.cat([_nearest(kept, order, multiple) for kept, order in parts])
    return gates.fixed(keep)


def _nearest(kept: Tensor, odds: Tensor, multiple: int) -> Tensor:
    count = int(kept.sum())
    if not count:
        return kept
    width = min(len(kept), max(multiple, (count + multiple // 2) // multiple * multiple))
    order = torch.where(kept, odds + 1e6, odds)  # what is kept stays before what is not
    rounded = torch.zeros_like(kept)
    rounded[order.argsort(descending=True, stable=True)[:width]] = True
    return rounded
