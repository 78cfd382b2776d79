"""The backbone under DeepSpeed: frozen, in shards under stage 3, while what trains lies outside the shards.

What trains, gates, Lagrange multipliers and adapters, is small: every rank holds it whole.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vtrans import ranks
from vtrans.anatomy import anatomy_of
from vtrans.errors import SuiteError, extra
from vtrans.heap import give_back_blocks
from vtrans.settings import Sharding
from vtrans.training.disk import Disk
from vtrans.training.engine import Engine, LocalEngine, ReplicatedEngine, checkpoint, sum_gradients
from vtrans.training.precision import has_bf16_units

LIVE = ("max_live_parameters", "max_reuse_distance", "prefetch_bucket_size")
PATIENCE = timedelta(hours=2)  # that a rank waits for another one, which evaluates or cuts files meanwhile


def engine_of(sharding: Sharding | None) -> Engine:
    """The engine for processes that a launcher has started; for one process, the local one.

    Raises:
        SuiteError: ZeRO is asked for and deepspeed not installed, or no launcher has set the ranks.
    """
    if sharding is None:
        return LocalEngine()
    if sharding.stage:
        return ZeroEngine(sharding)
    join()
    return ReplicatedEngine(sharding)


def join() -> None:
    """Join the process group that the launcher has set up.

    Raises:
        SuiteError: no launcher has set the ranks.
    """
    if "WORLD_SIZE" not in os.environ:
        raise SuiteError(
            "no ranks are set", "give `run` --ranks N, or start with torchrun --nproc-per-node N -m benchmark ..."
        )
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)


def connect() -> Any:
    """Import deepspeed and join the process group that the launcher has set up.

    Raises:
        SuiteError: it is not installed, or no launcher has set the ranks.
    """
    join()
    ranks.name_accelerator()
    try:
        import deepspeed
    except ImportError:
        raise SuiteError("package deepspeed is not installed", extra("deepspeed")) from None
    deepspeed.init_distributed("nccl" if torch.cuda.is_available() else "gloo", verbose=False)
    return deepspeed


def layer_weights(model: nn.Module) -> int:
    """Weights of a model's largest layer, which may be in shards."""
    layers = [model.get_submodule(block.path) for block in anatomy_of(model).blocks]
    return max(sum(getattr(p, "ds_numel", p.numel()) for p in layer.parameters()) for layer in layers)


_linear = nn.functional.linear


def weights_type() -> torch.dtype:
    """Of the frozen weights: bf16 on GPUs that have units for it, fp32 on others and on the host."""
    return torch.bfloat16 if torch.cuda.is_available() and has_bf16_units("cuda") else torch.float32


@contextmanager
def buffer_types_kept(model: nn.Module) -> Iterator[None]:
    """Put back buffers that are cast inside: DeepSpeed up to 0.18 makes bf16 of the frequencies of rotary positions."""
    before = [
        (module, name, found) for module in model.modules() for name, found in module.named_buffers(recurse=False)
    ]
    yield
    for module, name, buffer in before:
        now = getattr(module, name)
        if now.dtype != buffer.dtype:
            setattr(module, name, buffer.to(now.device))


def configuration(stage: int, live: int = 0, offload: dict[str, Any] | None = None) -> dict[str, Any]:
    """DeepSpeed's configuration.

    Under stage 3 about `live` weights are whole at a time, where it is not 0; by DeepSpeed's default a billion.
    `offload` says where its shards wait, as `offload_param`. A tensor that has come from a disk goes again once it was
    used: while it waits for the next use, it keeps one of the few buffers that others are read into.
    """
    zero: dict[str, Any] = {"stage": stage}
    if stage == 3:
        zero |= {"stage3_param_persistence_threshold": 0}
        zero |= {"offload_param": offload} if offload else {}
        zero |= {f"stage3_{name}": live for name in LIVE} if live else {}
        zero |= {"stage3_max_reuse_distance": 0} if offload and offload["device"] == "nvme" else {}
    return {
        "train_micro_batch_size_per_gpu": 1,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "bf16": {"enabled": weights_type() == torch.bfloat16},
    }


def largest_weight(folder: Path) -> int:
    """Weights of the largest tensor of the model in a folder, none of which is loaded."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return max(int(weight.numel()) for weight in model.parameters())


class ZeroEngine:
    """Several processes, started by torchrun or the deepspeed launcher; one GPU each, or CPUs with gloo.

    DeepSpeed wants something to train in the model it is given. It gets one parameter, `anchor`, with a gradient
    of 0: all that really trains lies outside.

    Raises:
        SuiteError: deepspeed is not installed, no launcher has set the ranks, or weights cannot wait on the disk.
    """

    frozen_backbone = True

    def __init__(self, sharding: Sharding) -> None:
        self.sharding: Sharding | None = sharding
        self._held = sharding
        self.deepspeed = connect()
        self._disk = Disk(Path(sharding.offload)) if sharding.offload not in ("", "cpu") else None
        if not torch.cuda.is_available():
            give_back_blocks()
        self._engines: dict[int, Any] = {}
        self._current: Any = None

    def device(self, model: nn.Module) -> torch.device:
        """The rank's GPU, or the CPU."""
        cuda = torch.cuda.is_available()
        return torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")

    def wrap(self, model: nn.Module) -> nn.Module:
        """DeepSpeed's engine around the frozen model, made once per model."""
        if id(model) not in self._engines:
            if self._held.checkpointing:
                checkpoint(model)
            self._engines[id(model)] = self._initialise(model)
        self._current = self._engines[id(model)]
        self._current.module.anchor.requires_grad_(True)  # which freezing the model took from it
        found: nn.Module = self._current
        return found

    def hold(self, model: nn.Module) -> nn.Module:
        """DeepSpeed's engine around a model that nothing is learnt beside."""
        if id(model) not in self._engines:
            self._engines[id(model)] = self._initialise(model)
        found: nn.Module = self._engines[id(model)]
        found.eval()  # which returns nothing
        return found

    def load(self, folder: Path, load: Callable[[Path], nn.Module]) -> nn.Module:
        """The model of a folder, under stage 3 cut into shards while it is read: no rank ever holds all of it."""
        from transformers import AutoModelForCausalLM
        from transformers.integrations import HfDeepSpeedConfig

        sharded, kept = self._held.stage == 3, None
        if sharded:
            offload = self._offload(largest_weight(folder) if self._disk else 0)
            kept = HfDeepSpeedConfig(configuration(3, offload=offload))
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=weights_type())
        del kept  # transformers looks at it through a weak reference while it reads
        found: nn.Module = model if sharded else model.to(self.device(model))
        return found

    def release(self) -> None:
        """Let go of all models, so that another one has their memory."""
        for engine in self._engines.values():
            engine.destroy()
        if self._disk:
            self._disk.release(engine.module for engine in self._engines.values())
        self._engines, self._current = {}, None
        nn.functional.linear = _linear  # stage 3 has put its own there
        ranks.barrier()

    def _initialise(self, model: Any) -> Any:
        model.requires_grad_(False)
        model.register_parameter(
            "anchor", nn.Parameter(torch.zeros(1, dtype=weights_type(), device=self.device(model)))
        )
        optimizer = torch.optim.SGD([model.anchor], lr=0.0)
        largest = max(getattr(weight, "ds_numel", weight.numel()) for weight in model.parameters())
        config = configuration(self._held.stage, 2 * layer_weights(model), self._offload(largest))
        with buffer_types_kept(model):
            engine, *_ = self.deepspeed.initialize(model=model, optimizer=optimizer, config=config)
        return engine

    def _offload(self, largest: int) -> dict[str, Any] | None:
        if self._disk:
            return self._disk.place(largest)
        return {"device": "cpu", "pin_memory": torch.cuda.is_available()} if self._held.offload else None

    def backward(self, loss: Tensor) -> None:
        """DeepSpeed's backward pass, which brings the shards together layer by layer."""
        anchor = self._current.module.anchor
        self._current.backward(loss + 0.0 * anchor.sum() if self._held.stage == 2 else loss)

    def reduce(self, parameters: Iterable[nn.Parameter]) -> None:
        """All-reduce."""
        sum_gradients([p for p in parameters if p.requires_grad])
