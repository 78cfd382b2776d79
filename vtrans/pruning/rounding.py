"""Rounded widths: a decision whose widths are multiples."""

import torch
from torch import Tensor

from vtrans.pruning.gates import GateSet
from vtrans.pruning.masks import Masks


def round_widths(gates: GateSet, decision: Masks, multiple: int) -> Masks:
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
    by_odds = odds.argsort(descending=True, stable=True)
    order = by_odds[kept[by_odds].long().argsort(descending=True, stable=True)]  # what is kept before what is not
    rounded = torch.zeros_like(kept)
    rounded[order[:width]] = True
    return rounded
