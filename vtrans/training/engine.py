"""Where a training step runs: in this process, or in several with the backbone in shards (DeepSpeed ZeRO).

The backbone is frozen under DeepSpeed. What trains, gates and Lagrange multipliers, is small: every rank holds it
whole, and its gradients are summed over ranks, outside the shards. So every rank makes the same step.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from vtrans.errors import SuiteError


class Engine(Protocol):
    """What the training loop asks for."""

    rank: int
    ranks: int

    def device(self, model: nn.Module) -> torch.device:
        """Where a model computes, whatever memory its weights wait in."""
        ...

    def wrap(self, model: nn.Module) -> nn.Module:
        """The module to run in place of `model`."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a 0-d loss."""
        ...

    def reduce(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the gradients of parameters over ranks."""
        ...


class LocalEngine:
    """One process, the model as it is."""

    rank, ranks = 0, 1

    def device(self, model: nn.Module) -> torch.device:
        """The device of its weights."""
        return next(model.parameters()).device

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model."""
        return model

    def backward(self, loss: Tensor) -> None:
        """Autograd."""
        loss.backward()

    def reduce(self, parameters: Iterable[nn.Parameter]) -> None:
        """Nothing to sum."""


@dataclass(frozen=True)
class Sharding:
    """How DeepSpeed holds the backbone.

    Attributes:
        stage: of ZeRO: 3 shards the weights over ranks; 2 leaves them whole on each, and shards what trains in it.
        offload: keep the shards in the host's memory (stage 3).
        checkpointing: recompute activations in the backward pass instead of keeping them.
    """

    stage: Literal[2, 3] = 3
    offload: bool = False
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if self.stage not in (2, 3):
            raise SuiteError(f"ZeRO stage {self.stage} is not known here", "give 2 or 3")
        if self.offload and self.stage == 2:
            raise SuiteError("stage 2 keeps the weights on the device", "offload under stage 3")

    def config(self, batch: int) -> dict[str, Any]:
        """DeepSpeed's configuration for `batch` sequences per rank."""
        zero: dict[str, Any] = {"stage": self.stage}
        if self.stage == 3:
            zero |= {"stage3_param_persistence_threshold": 0}
            zero |= (
                {"offload_param": {"device": "cpu", "pin_memory": torch.cuda.is_available()}} if self.offload else {}
            )
        return {
            "train_micro_batch_size_per_gpu": batch,
            "zero_optimization": zero,
            "zero_allow_untested_optimizer": True,
        }


class ShardedEngine:
    """Several processes, started by torchrun or the deepspeed launcher; one GPU each, or CPUs with gloo.

    DeepSpeed wants something to train in the model it is given. It gets one parameter, `anchor`, with a gradient
    of 0: all that really trains lies outside.

    Raises:
        SuiteError: deepspeed is not installed, or no launcher has set the ranks.
    """

    def __init__(self, sharding: Sharding) -> None:
        self.sharding = sharding
        self.deepspeed = connect()
        self.rank, self.ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
        self._engines: dict[int, Any] = {}
        self._current: Any = None

    def device(self, model: nn.Module) -> torch.device:
        """The rank's GPU, or the CPU."""
        cuda = torch.cuda.is_available()
        return torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")

    def wrap(self, model: nn.Module) -> nn.Module:
        """DeepSpeed's engine around the frozen model, made once per model."""
        if id(model) not in self._engines:
            self._engines[id(model)] = self._initialise(model)
        self._current = self._engines[id(model)]
        self._current.module.anchor.requires_grad_(True)  # which freezing the model took from it
        found: nn.Module = self._current
        return found

    def release(self) -> None:
        """Let go of all models, so that another one has their memory."""
        for engine in self._engines.values():
            engine.destroy()
        self._engines, self._current = {}, None

    def _initialise(self, model: Any) -> Any:
        model.requires_grad_(False)
        if self.sharding.checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.register_parameter("anchor", nn.Parameter(torch.zeros(1, device=self.device(model))))
        optimizer = torch.optim.SGD([model.anchor], lr=0.0)
        engine, *_ = self.deepspeed.initialize(model=model, optimizer=optimizer, config=self.sharding.config(1))
        return engine

    def backward(self, loss: Tensor) -> None:
        """DeepSpeed's backward pass, which brings the shards together layer by layer."""
        anchor = self._current.module.anchor
        self._current.backward(loss + 0.0 * anchor.sum() if self.sharding.stage == 2 else loss)

    def reduce(self, parameters: Iterable[nn.Parameter]) -> None:
        """All-reduce."""
        for parameter in parameters:
            if parameter.grad is not None:
                torch.distributed.all_reduce(parameter.grad)


def connect() -> Any:
    """Import deepspeed and join the process group that the launcher has set up.

    Raises:
        SuiteError: it is not installed, or no launcher has set the ranks.
    """
    if "WORLD_SIZE" not in os.environ:
        raise SuiteError("no ranks are set", "start with torchrun --nproc-per-node N -m benchmark ...")
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    try:
        import deepspeed
    except ImportError:
        raise SuiteError("package deepspeed is not installed", "run `pip install deepspeed`") from None
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not torch.distributed.is_initialized():
        deepspeed.init_distributed("nccl" if torch.cuda.is_available() else "gloo", verbose=False)
    return deepspeed
