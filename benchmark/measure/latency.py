"""Measured latency: dense and compressed in turns in one process, on real lengths."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from vtrans.data.examples import Examples, unlabelled

TIMED = 30


def compare(dense: nn.Module, small: nn.Module, examples: Examples, batch: int) -> dict[str, Any]:
    """Time both models on the same batches, alternately; milliseconds per batch and their ratio.

    Each shape of batch is run once before: a library may compile a kernel for each shape that it meets for the first
    time, for every width of a layer, and a model that serves has met them all. One that drops tokens meets new numbers
    of survivors all the same, here as when it serves.

    Args:
        dense, small: models in evaluation mode on the same device.
        examples: rows whose first batches are run, in their own order, each padded to its longest.
        batch: sequences per batch.

    Returns:
        Median and quartiles of both models and of the ratio dense / small, batch by batch.
    """
    batches = batches_of(examples, batch)
    for inputs in {tuple(inputs["input_ids"].shape): inputs for inputs in batches}.values():
        in_turn((dense, small), inputs)
    times = np.array([in_turn((dense, small), inputs) for inputs in batches])
    return {
        "batch": batch,
        "timed": len(times),
        "length": float(np.mean([inputs["input_ids"].shape[1] for inputs in batches])),
        "dense_ms": quartiles(times[:, 0]),
        "ms": quartiles(times[:, 1]),
        "speedup": quartiles(times[:, 0] / times[:, 1]),
    }


def quartiles(values: Sequence[float] | np.ndarray) -> list[float]:
    """First quartile, median, third quartile."""
    return [round(float(q), 4) for q in np.percentile(values, (25, 50, 75))]


def batches_of(examples: Examples, batch: int) -> list[dict[str, torch.Tensor]]:
    """The first batches of some rows, in their order, from the start again where they end."""
    starts = [(i * batch) % max(1, len(examples) - batch + 1) for i in range(TIMED)]
    rows = [list(range(start, min(start + batch, len(examples)))) for start in starts]
    return [unlabelled(examples.batch(r)) for r in rows]


def in_turn(models: Sequence[nn.Module], inputs: dict[str, torch.Tensor]) -> list[float]:
    """Milliseconds of each model on one batch, one after the other."""
    return [_milliseconds(model, inputs) for model in models]


@torch.no_grad()
def _milliseconds(model: nn.Module, inputs: dict[str, torch.Tensor]) -> float:
    device = next(model.parameters()).device
    inputs = {k: v.to(device) for k, v in inputs.items()}
    synchronise(device)
    start = time.perf_counter()
    model(**inputs)
    synchronise(device)
    return (time.perf_counter() - start) * 1e3


def synchronise(device: torch.device) -> None:
    """Wait for the device's queue; nothing to wait for on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
