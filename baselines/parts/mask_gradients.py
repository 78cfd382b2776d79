"""Gradients of the loss by masks of ones, row by row: the empirical Fisher information of heads and FFN units."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vtrans.anatomy import anatomy_of
from vtrans.errors import RunCancelled
from vtrans.heap import trim
from vtrans.objectives.task import outputs_and_loss
from vtrans.pruning.masking import apply_masks
from vtrans.pruning.masks import Masks
from vtrans.training.flops import FlopMeter

if TYPE_CHECKING:
    from torch import nn

    from vtrans.data.examples import Rows
    from vtrans.methods.base import CompressionState, Stage

BATCH, TOKENS = 32, 2048  # at most, of a batch: logits of a large vocabulary and their gradients take gigabytes


@dataclass(frozen=True)
class MaskGradients:
    """d loss / d mask, one row per training row.

    Attributes:
        heads, ffn: `(rows, units)` of each layer, on the CPU.
    """

    heads: tuple[Tensor, ...]
    ffn: tuple[Tensor, ...]

    @property
    def importance(self) -> "tuple[list[Tensor], list[Tensor]]":
        """Diagonal of the Fisher information: mean square over rows, `(units,)` of each layer."""
        heads, ffn = ([each.square().mean(0) for each in site] for site in (self.heads, self.ffn))
        return heads, ffn


class ReportedBatches:
    """Batches that are reported as they are run, and end the run where it is to stop; what they compute is metered."""

    def __init__(self, batches: list[list[int]], state: "CompressionState", stage: "Stage") -> None:
        self.batches, self.context, self.label = batches, state.run_context, state.label(stage)

    def __iter__(self) -> Iterator[list[int]]:
        """The batches; the stage starts over when the run goes on.

        Raises:
            RunCancelled: the run's stop flag was set.
        """
        for done, batch in enumerate(self.batches, 1):
            yield batch
            trim(collect=False)  # what is kept of a batch is small and lies between large freed blocks
            if self.context.report:
                self.context.report(self.label, done, len(self.batches), {})
            if self.context.stop:
                raise RunCancelled(f"stopped in {self.label}", "run the same command to go on")

    @contextmanager
    def metered(self) -> Iterator[None]:
        """Note what is computed inside, and how long it takes, as of a training stage in fp32."""
        meter, began = FlopMeter(), time.monotonic()
        with meter.step(0, 1):
            yield
        self.context.flops[self.label], self.context.precisions[self.label] = meter.flops, "fp32"
        self.context.elapsed[self.label] = time.monotonic() - began


def draw_rows(rows: "Rows", count: int, seed: int) -> list[list[int]]:
    """Batches of `count` rows drawn without replacement, rows of like length together, of at most `TOKENS` tokens."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:count].tolist()
    lengths = rows.lengths  # counted anew each time it is asked for
    order.sort(key=lambda row: lengths[row])
    batches: list[list[int]] = []
    for row in order:  # shortest first, so that the last of a batch is its width
        full = not batches or len(batches[-1]) == BATCH or lengths[row] * (len(batches[-1]) + 1) > TOKENS
        batches.append([row]) if full else batches[-1].append(row)
    return batches


def mask_gradients(model: "nn.Module", rows: "Rows", batches: Iterable[list[int]]) -> MaskGradients:
    """Gradients of the task's loss on some rows, in evaluation mode; the model is not changed."""
    anatomy, device = anatomy_of(model), next(model.parameters()).device
    model.eval().requires_grad_(False)
    found: list[list[Tensor]] = []
    with apply_masks(model, Masks.dense(anatomy)) as masking:
        for batch in batches:
            inputs = {name: value.to(device) for name, value in rows.batch(batch).items()}
            heads, ffn = (_ones(counts, len(batch), device) for counts in (anatomy.heads, anatomy.ffn))
            layers = [torch.ones((), device=device)] * len(anatomy.blocks)
            masking.masks = Masks.of(torch.ones(anatomy.hidden, device=device), heads, ffn, layers, layers)
            loss = outputs_and_loss(model, inputs, anatomy.predicts_next_token)[1].float()
            loss = loss * len(batch)  # a sum over rows: each has its own gradient
            leaves = [*heads, *ffn]
            grown = torch.autograd.grad(loss, leaves, allow_unused=True)
            found.append([_rows(grad, leaf) for grad, leaf in zip(grown, leaves, strict=True)])
    whole = tuple(torch.cat(parts) for parts in zip(*found, strict=True))
    return MaskGradients(whole[: len(anatomy.blocks)], whole[len(anatomy.blocks) :])


def _ones(counts: Any, rows: int, device: torch.device) -> list[Tensor]:
    return [torch.ones(rows, 1, n, device=device, requires_grad=True) for n in counts]


def _rows(grad: Tensor | None, leaf: Tensor) -> Tensor:
    return (torch.zeros_like(leaf) if grad is None else grad)[:, 0].detach().float().cpu()


def rearranged(keep: Tensor, gradients: Tensor) -> Tensor:
    """As many kept units of one layer, chosen anew for what the pruned ones do together.

    The loss of pruning a set grows with the mean square, over rows, of the sum of its gradients (the paper's equation
    for a block of the Fisher information). Each kept unit in turn, the least important first, is pruned, and the unit
    comes back without which the pruned ones do the least.

    Args:
        keep: bool `(units,)`.
        gradients: `(rows, units)`.
    """
    pruned = ~keep
    if not keep.any() or not pruned.any():
        return keep
    gram = gradients.T @ gradients
    for unit in sorted(keep.nonzero().flatten().tolist(), key=lambda i: float(gram[i, i])):
        pruned[unit] = True
        together = gram[:, pruned].sum(1)  # of each unit with the sum of all pruned ones
        without = gram.diagonal() - 2 * together  # the squared norm of the sum, without it, less a constant
        back = int(without.masked_fill(~pruned, float("inf")).argmin())
        pruned[back] = False
    return ~pruned
