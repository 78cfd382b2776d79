"""Low-rank adapters that lie beside a model, not in it: the form that fits a backbone in shards, and any other.

`W x + (alpha / rank) B A x` (Hu et al. 2021, equation 3). Every process holds A and B whole, outside the shards, as it
does gates; in the end their product is added to the weights in the model's files, one file at a time.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from transformers.pytorch_utils import Conv1D

from vtrans import ranks
from vtrans.objectives.base import RecoveryObjective, weight_optimizer
from vtrans.objectives.distillation import Distiller
from vtrans.pruning.surgery import shape_of
from vtrans.settings import Schedule
from vtrans.training.dropout import draw, rounded


class LoraAdapters(nn.Module):
    """A and B of each projection; B starts at 0, and with it what is added.

    Args:
        model: has the projections.
        paths: of the projections, Linear or Conv1D.
        rank, alpha, dropout: of the adapters.
    """

    def __init__(self, model: nn.Module, paths: Sequence[str], rank: int, alpha: float, dropout: float) -> None:
        super().__init__()
        self.paths, self.scale, self.dropout = tuple(paths), alpha / rank, dropout
        shapes = [shape_of(model.get_submodule(path)) for path in paths]
        self.lora_a = nn.ParameterList([nn.Parameter(torch.empty(rank, into)) for into, _ in shapes])
        self.lora_b = nn.ParameterList([nn.Parameter(torch.zeros(out, rank)) for _, out in shapes])
        for matrix in self.lora_a:
            nn.init.kaiming_uniform_(matrix, a=math.sqrt(5))

    @contextmanager
    def attached(self, model: nn.Module) -> Iterator[None]:
        """Add to what the projections of `model` give, inside the context."""
        with ExitStack() as stack:
            for index, path in enumerate(self.paths):
                stack.enter_context(model.get_submodule(path).register_forward_hook(self._hook(index)))
            yield

    def _hook(self, index: int) -> Callable[[nn.Module, tuple[Tensor], Tensor], Tensor]:
        def add(module: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
            """The output with the adapter's share."""
            x = args[0].to(output.dtype)  # at once, where autocast would after the dropout
            x = self._drop(x) if module.training and self.dropout else x
            a, b = (matrix.to(x.dtype) for matrix in (self.scale * self.lora_a[index], self.lora_b[index]))
            return output + F.linear(F.linear(x, a), b)

        return add

    def _drop(self, x: Tensor) -> Tensor:
        kept = ranks.sample_for_rank(partial(self._kept, dtype=x.dtype), x.shape[:1], *x.shape[1:], device=x.device)
        return x * kept

    def _kept(self, *shape: int, device: torch.device, dtype: torch.dtype) -> Tensor:
        """What elements are multiplied by: 0, or what makes up for it."""
        if device.type == "cpu":
            return draw(torch.Size(shape), self.dropout, dtype).mul_(1 / (1 - rounded(self.dropout)))
        return ((torch.rand(shape, device=device) >= self.dropout) / (1 - self.dropout)).to(dtype)

    @torch.no_grad()
    def merge_into(self, model: nn.Module) -> None:
        """Add the products to a model's weights."""
        for path in self.paths:
            projection: Any = model.get_submodule(path)
            projection.weight += self.added(path, projection).to(projection.weight.dtype)

    def added(self, path: str, projection: nn.Module) -> Tensor:
        """What is added to the weight of a projection, in the weight's own layout, fp32."""
        product = self.product(path)
        return product.T if isinstance(projection, Conv1D) else product

    @torch.no_grad()
    def product(self, path: str) -> Tensor:
        """What is added to the weight of a Linear `(out, in)`, fp32."""
        index = self.paths.index(path)
        found: Tensor = self.scale * self.lora_b[index].float() @ self.lora_a[index].float()
        return found


class LoraObjective(RecoveryObjective):
    """Distillation of the dense teacher into adapters; the model beside them stays as it is."""

    def __init__(self, model: nn.Module, adapters: LoraAdapters, distiller: Distiller) -> None:
        super().__init__(model, distiller)
        self.modules["adapters"] = adapters

    def optimizers(self, schedule: Schedule) -> dict[str, Optimizer]:
        """One for the adapters."""
        self.modules["model"].requires_grad_(False)
        self.distiller.requires_grad_(False)
        return {"weights": weight_optimizer({"adapters": self.modules["adapters"]}, schedule)}


@torch.no_grad()
def merge_files(folder: Path, adapters: LoraAdapters, model: nn.Module, out: Path) -> None:
    """Write the weights of a pruned model's files with the adapters added to `out`, one file at a time.

    Args:
        folder: what `materialise_files` or `save_pruned` wrote.
        adapters: trained.
        model: the kinds of its projections; weights are not looked at.
        out: another folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("model*.safetensors")):
        tensors = load_file(path)
        for name in adapters.paths:
            if (weight := tensors.get(f"{name}.weight")) is not None:
                product = adapters.added(name, model.get_submodule(name)).cpu()
                tensors[f"{name}.weight"] = (weight.float() + product).to(weight.dtype).contiguous()
        save_file(tensors, out / path.name)
    for path in folder.glob("*.json"):
        (out / path.name).write_bytes(path.read_bytes())
