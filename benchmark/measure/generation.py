"""Speed of generation with a cache of keys and values: reading a prompt, and writing after it; in turns."""

import time
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmark.measure.latency import quartiles
from vtrans.data.examples import Examples

ROUNDS, NEW = 5, 32  # prompts, the first of which warms up, and tokens written after each


def generation(dense: nn.Module, small: nn.Module, examples: Examples, prompt: int, new: int = NEW) -> dict[str, Any]:
    """Tokens per second of both models at batch 1, greedy, and their ratio, prompt by prompt.

    Args:
        dense, small: decoders in evaluation mode on the same device.
        examples: rows whose heads are the prompts.
        prompt: tokens of a prompt, at most.
        new: tokens that are written after each.

    Returns:
        `prefill`, reading prompts, and `decode`, writing one token after the other: medians and quartiles.
    """
    device = next(dense.parameters()).device
    rows = [examples.batch([i % len(examples)])["input_ids"][:, :prompt].to(device) for i in range(ROUNDS)]
    times = np.array([[seconds(model, ids, new) for model in (dense, small)] for ids in rows])[1:]
    tokens = {"prefill": np.array([ids.shape[1] for ids in rows[1:]]), "decode": np.full(len(times), new)}
    found: dict[str, Any] = {"prompt": int(max(tokens["prefill"])), "new": new, "prompts": len(times)}
    for index, (name, count) in enumerate(tokens.items()):
        taken = times[:, :, index]
        found[name] = {
            "dense_tokens_per_second": quartiles(count / taken[:, 0]),
            "tokens_per_second": quartiles(count / taken[:, 1]),
            "speedup": quartiles(taken[:, 0] / taken[:, 1]),
        }
    return found


@torch.no_grad()
def seconds(model: nn.Module, ids: torch.Tensor, new: int) -> tuple[float, float]:
    """Time to read a prompt `(1, length)`, and to write `new` tokens after it."""
    began = _now()
    outputs = model(input_ids=ids, use_cache=True)
    read = _now()
    for _ in range(new):
        last = outputs.logits[:, -1:].argmax(-1)
        outputs = model(input_ids=last, past_key_values=outputs.past_key_values, use_cache=True)
    return read - began, _now() - read


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
