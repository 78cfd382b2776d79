"""FLOPs of training, counted on a few steps and carried over to the others by their tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

EVERY = 50  # steps between counted ones


def _attention(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> int:
    return int(sdpa_flop_count(query.shape, key.shape, value.shape))


def _attention_backward(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> int:
    return int(sdpa_backward_flop_count(grad.shape, query.shape, key.shape, value.shape))


# torch 2.13 lacks formulas for the fused attention of CPUs, which runs wherever nothing of it is dropped out.
FORMULAS: dict[Any, Any] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
} | flop_registry


class _Counter(TorchDispatchMode):
    """Adds up torch's own formulas for matrix products and attention, of forward and backward passes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if formula := FORMULAS.get(func._overloadpacket):
            self.flops += formula(*args, **(kwargs or {}), out_val=result)
        return result


class FlopMeter:
    """FLOPs of all steps of a stage so far; a multiply-accumulate counts two.

    Args:
        flops: so far.
    """

    def __init__(self, flops: float = 0.0) -> None:
        self.flops, self._per_token = flops, 0.0

    @contextmanager
    def step(self, step: int, tokens: int, own: int = 0) -> Iterator[None]:
        """Meter one step on so many tokens, padding included, of which `own` are computed inside, by default all."""
        if not self._per_token or step % EVERY == 0:
            with _Counter() as counter:
                yield
            self._per_token = counter.flops / (own or tokens)
        else:
            yield
        self.flops += self._per_token * tokens
