"""Scales of kept units that bring a pruned sub-layer's output back to the dense one's, by least squares."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from baselines.parts.unit_scores import weight_of
from vtrans.anatomy import anatomy_of
from vtrans.data.examples import unlabelled
from vtrans.pruning.masking import apply_masks
from vtrans.pruning.masks import Masks

if TYPE_CHECKING:
    from torch import nn

    from vtrans.data.examples import Rows

RIDGE = 1e-3  # times the mean of the normal equations' diagonal; pulls scales to 1
LARGEST = 10.0  # scales beyond are a sign of an ill-posed system: the sub-layer keeps its ones


class Seen:
    """What went into a module and came out of it, at real tokens, in the last pass."""

    into: Tensor
    out: Tensor


@torch.no_grad()
def tuned(model: "nn.Module", rows: "Rows", batches: Iterable[list[int]], masks: Masks) -> tuple[Masks, int]:
    """Masks with scales for the kept heads and FFN units, sub-layer after sub-layer from the first on.

    Returns:
        The masks, and how many sub-layers have scales now.
    """
    anatomy = anatomy_of(model)
    dense, count = Masks.dense(anatomy).to(next(model.parameters()).device), 0
    masks = masks.to(dense.hidden.device)
    for index, block in enumerate(anatomy.blocks):
        width = anatomy.head_size * block.group
        for site, path, alive, columns in (
            ("heads", block.out, masks.attention_alive[index], width),
            ("ffn", block.down, masks.ffn_alive[index], 1),
        ):
            keep = getattr(masks, site)[index] != 0
            if not alive or bool(keep.all()):
                continue
            left, right = normal_equations(model, rows, batches, (dense, masks), path, keep.repeat_interleave(columns))
            scales = solve(left, right, columns)
            if scales is not None:
                values = list(getattr(masks, site))
                values[index] = values[index].masked_scatter(keep, scales.to(values[index].dtype))
                scaled = {site: tuple(values)}
                masks, count = replace(masks, **scaled), count + 1  # type: ignore[arg-type]
    return masks, count


def normal_equations(
    model: "nn.Module",
    rows: "Rows",
    batches: Iterable[list[int]],
    masks: tuple[Masks, Masks],
    path: str,
    columns: Tensor,
) -> tuple[Tensor, Tensor]:
    """Sums over tokens for the Linear at `path`: products of what its kept columns add, and of these with its output.

    Args:
        model, rows, batches: what is run.
        masks: dense and pruned.
        path: of the output projection of a sub-layer.
        columns: bool, its inputs that are kept.

    Returns:
        `(k, k)` and `(k,)`, fp64.
    """
    weight = weight_of(model, path)[:, columns].double()
    bias = getattr(model.get_submodule(path), "bias", None)
    product = torch.zeros(weight.shape[1], weight.shape[1], dtype=torch.float64, device=weight.device)
    right = torch.zeros(weight.shape[1], dtype=torch.float64, device=weight.device)
    with apply_masks(model, masks[0]) as masking, _watched(model, path) as seen:
        for batch in batches:
            inputs = {name: value.to(weight.device) for name, value in unlabelled(rows.batch(batch)).items()}
            real = inputs["attention_mask"].bool()
            masking.masks = masks[0]
            model(**inputs)
            target = seen.out[real].double() - (0 if bias is None else bias.double())
            masking.masks = masks[1]
            model(**inputs)
            into = seen.into[real][:, columns].double()
            product += into.T @ into
            right += ((target @ weight) * into).sum(0)
    return product * (weight.T @ weight), right


def solve(left: Tensor, right: Tensor, columns: int) -> Tensor | None:
    """Scales of units of so many columns each, `(units,)`; None where one is beyond `LARGEST`."""
    units = len(right) // columns
    gram = left.view(units, columns, units, columns).sum((1, 3))
    target = right.view(units, columns).sum(1)
    ridge = RIDGE * gram.diagonal().mean() * torch.eye(units, dtype=gram.dtype, device=gram.device)
    scales: Tensor = 1 + torch.linalg.solve(gram + ridge, target - gram.sum(1))
    return scales if bool(scales.isfinite().all()) and bool((scales.abs() <= LARGEST).all()) else None


@contextmanager
def _watched(model: "nn.Module", path: str) -> Iterator[Seen]:
    seen = Seen()

    def look(module: "nn.Module", args: tuple[Tensor], output: Tensor) -> None:
        """Keep both."""
        seen.into, seen.out = args[0], output

    handle = model.get_submodule(path).register_forward_hook(look)
    try:
        yield seen
    finally:
        handle.remove()
