"""Scales of kept units that bring a pruned sub-layer's output back to the dense one's, by least squares."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from baselines.parts.layerwise import Batch, entering
from baselines.parts.unit_scores import weight_of
from vtrans.anatomy import anatomy_of
from vtrans.pruning.masking import Masking, apply_masks
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

    A layer sees what the pruned layers before it, with their scales, make of the rows; its target is what the dense
    model's sub-layer gives. Each layer runs on inputs that are kept from the layer before, six times in all, so that
    the cost does not grow with the square of the depth. The states of all rows are kept twice, beside the model.

    Args:
        model: dense, in evaluation mode.
        rows, batches: what it is run on; the batches are gone through once, and up to three times for each layer.
        masks: of the decision; all hidden units are kept.

    Returns:
        The masks, and how many sub-layers have scales now.

    Raises:
        ValueError: hidden units are pruned.
    """
    if bool((masks.hidden != 1).any()):
        raise ValueError("scales are found for masks of heads and FFN units alone")
    anatomy = anatomy_of(model)
    dense, count = Masks.dense(anatomy).to(next(model.parameters()).device), 0
    masks = masks.to(dense.hidden.device)
    with apply_masks(model, dense) as masking:
        runs = list(entering(model, rows, batches))
        for index, block in enumerate(anatomy.blocks):
            layer = Layer(model, masking, index, block.path)
            for site, path, columns in (("heads", block.out, anatomy.head_size * block.group), ("ffn", block.down, 1)):
                keep = getattr(masks, site)[index] != 0
                alive = masks.attention_alive if site == "heads" else masks.ffn_alive
                if not alive[index] or bool(keep.all()):
                    continue
                watched = zip(batches, runs, strict=True)
                sums = layer.normal_equations(watched, (dense, masks), path, keep.repeat_interleave(columns))
                scales = solve(*sums, columns)
                if scales is not None:
                    masks, count = scaled(masks, site, index, scales), count + 1
            layer.advance(zip(batches, runs, strict=True), (dense, masks))
    return masks, count


def scaled(masks: Masks, site: str, index: int, scales: Tensor) -> Masks:
    """The masks, with scales for the kept units of one layer."""
    values = list(getattr(masks, site))
    values[index] = values[index].masked_scatter(values[index] != 0, scales.to(values[index].dtype))
    changed = {site: tuple(values)}
    return replace(masks, **changed)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Layer:
    """One layer of a model under masks.

    Attributes:
        model, masking: the model, and the masks that its hooks read.
        index, path: of the layer.
    """

    model: "nn.Module"
    masking: Masking
    index: int
    path: str

    def normal_equations(
        self, runs: Iterable[tuple[list[int], Batch]], masks: tuple[Masks, Masks], path: str, columns: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Normal equations of `min_s sum_tokens |W diag(s) x - y|^2` for the Linear at `path`, its bias left out.

        x are its inputs in the pruned model, y its outputs in the dense one: the matrix `(W^T W) * (X^T X)` and the
        vector `sum_tokens (W^T y) * x`, over kept columns.

        Args:
            runs: batches before this layer, each with its rows.
            masks: dense and pruned.
            path: of the output projection of a sub-layer.
            columns: bool, its inputs that are kept.

        Returns:
            `(k, k)` and `(k,)`, fp64.
        """
        weight = weight_of(self.model, path)[:, columns].double()
        bias = getattr(self.model.get_submodule(path), "bias", None)
        product = torch.zeros(weight.shape[1], weight.shape[1], dtype=torch.float64, device=weight.device)
        right = torch.zeros(weight.shape[1], dtype=torch.float64, device=weight.device)
        with _watched(self.model, path) as seen:
            for _, run in runs:
                self._run(run, run.dense, masks[0])
                target = seen.out[run.real].double() - (0 if bias is None else bias.double())
                self._run(run, run.pruned, masks[1])
                into = seen.into[run.real][:, columns].double()
                product += into.T @ into
                right += ((target @ weight) * into).sum(0)
        return product * (weight.T @ weight), right

    def advance(self, runs: Iterable[tuple[list[int], Batch]], masks: tuple[Masks, Masks]) -> None:
        """Bring batches, each with its rows, to the next layer."""
        for _, run in runs:
            run.dense = self._run(run, run.dense, masks[0])
            run.pruned = self._run(run, run.pruned, masks[1])

    def _run(self, run: Batch, states: Tensor, masks: Masks) -> Tensor:
        self.masking.masks = masks
        return run.run(self.model.get_submodule(self.path), self.index, states)


def solve(left: Tensor, right: Tensor, columns: int) -> Tensor | None:
    """Scales of units of so many columns each, `(units,)`, from the matrix and the vector of `normal_equations`.

    None where one is not finite or beyond `LARGEST`.
    """
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
