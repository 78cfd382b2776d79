"""Where a training step runs: in this process, in several that each hold the model, or in several that hold shards.

Of several, each computes its part of a batch; gradients of what trains are summed, so that all make the same step.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vtrans import ranks
from vtrans.settings import Sharding

BUCKET = 2**23  # elements of small gradients that are summed at a time
LARGE = 2**16  # elements of a gradient that is summed by itself, in place
ATTENTION_DROPOUT = ("attention_dropout", "attn_pdrop", "attention_probs_dropout_prob")


class Engine(Protocol):
    """What the training loop and the stages ask for."""

    sharding: Sharding | None

    @property
    def frozen_backbone(self) -> bool:
        """Whether models are held frozen by DeepSpeed: none of their weights trains; files are cut and merged."""
        ...

    def device(self, model: nn.Module) -> torch.device:
        """Where a model computes, whatever memory its weights wait in."""
        ...

    def wrap(self, model: nn.Module) -> nn.Module:
        """The module to run in place of a model that trains, or that what trains is beside."""
        ...

    def hold(self, model: nn.Module) -> nn.Module:
        """The module to run in place of a teacher."""
        ...

    def load(self, folder: Path, load: Callable[[Path], nn.Module]) -> nn.Module:
        """A frozen model from its folder, by `load` where this process holds it whole."""
        ...

    def release(self) -> None:
        """Let go of what is held of all models."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a 0-d loss."""
        ...

    def reduce(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the gradients of parameters over ranks."""
        ...


class LocalEngine:
    """One process, the model as it is."""

    sharding: Sharding | None = None
    frozen_backbone = False

    def device(self, model: nn.Module) -> torch.device:
        """The device of its weights."""
        return next(model.parameters()).device

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model."""
        return model

    def hold(self, model: nn.Module) -> nn.Module:
        """The model."""
        return model

    def load(self, folder: Path, load: Callable[[Path], nn.Module]) -> nn.Module:
        """The model, whole."""
        return load(folder)

    def release(self) -> None:
        """Nothing is held."""

    def backward(self, loss: Tensor) -> None:
        """Autograd."""
        loss.backward()

    def reduce(self, parameters: Iterable[nn.Parameter]) -> None:
        """Nothing to sum."""


class ReplicatedEngine(LocalEngine):
    """Several processes, the model whole in each: weights may train."""

    def __init__(self, sharding: Sharding) -> None:
        self.sharding = sharding

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model."""
        if self.sharding and self.sharding.checkpointing:
            checkpoint(model)
        return model

    def reduce(self, parameters: Iterable[nn.Parameter]) -> None:
        """All-reduce."""
        sum_gradients([p for p in parameters if p.requires_grad])


def checkpoint(model: Any) -> None:
    """Let a model recompute its activations in the backward pass."""
    newer = getattr(model, "activation_checkpointing_enable", None)  # transformers 5.23; the other name is leaving
    (newer or model.gradient_checkpointing_enable)({"use_reentrant": False})


@torch.no_grad()
def sum_gradients(parameters: list[nn.Parameter]) -> None:
    """Sum gradients over ranks: one that no rank has stays None, one that some lack counts as 0.

    Large ones are summed where they lie, without the copy that puts small ones together.
    """
    if not parameters:
        return
    has = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32, device=parameters[0].device)
    torch.distributed.all_reduce(has)
    found = [p for p, n in zip(parameters, has.tolist(), strict=True) if n]
    for parameter in found:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        parameter.grad = parameter.grad.contiguous()
    large = [p.grad for p in found if p.numel() >= LARGE]
    pending = [torch.distributed.all_reduce(gradient, async_op=True) for gradient in large]
    for bucket in buckets(p for p in found if p.numel() < LARGE):
        flat = torch.cat([p.grad.flatten() for p in bucket if p.grad is not None])
        torch.distributed.all_reduce(flat)
        parts = flat.split([p.numel() for p in bucket])
        for parameter, part in zip(bucket, parts, strict=True):
            assert parameter.grad is not None
            parameter.grad.copy_(part.view_as(parameter))
    for work in pending:
        work.wait()


def buckets(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Parameters in groups of one type and of about `BUCKET` elements."""
    found: list[list[nn.Parameter]] = []
    size = 0
    for parameter in parameters:
        if not found or size + parameter.numel() > BUCKET or found[-1][0].dtype != parameter.dtype:
            found.append([])
            size = 0
        found[-1].append(parameter)
        size += parameter.numel()
    return found


def drops(model: nn.Module) -> bool:
    """Whether a model has dropout that is not 0, of its attention or elsewhere."""
    modules = any(isinstance(module, nn.Dropout) and module.p for module in model.modules())
    config = getattr(model, "config", None)
    return modules or any(getattr(config, name, 0) for name in ATTENTION_DROPOUT)


@contextmanager
def own_dropout(model: nn.Module) -> Iterator[None]:
    """Let each rank draw other numbers inside the model, while generators stay in step outside of it, in the context.

    Noise of gates, which is drawn outside, is then the same on all ranks, and dropout is not the same for the first
    sequence of each.
    """

    def before(module: nn.Module, args: Any) -> None:
        """Leave the common stream, by a seed from it."""
        seed = int(torch.randint(2**62, ()))
        states.append((torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_available() else None))
        torch.manual_seed(seed + ranks.rank())

    def after(module: nn.Module, args: Any, output: Any) -> None:
        """Go back to it."""
        host, device = states.pop()
        torch.set_rng_state(host)
        if device is not None:
            torch.cuda.set_rng_state(device)

    states: list[tuple[Tensor, Tensor | None]] = []
    with model.register_forward_pre_hook(before), model.register_forward_hook(after):
        yield
