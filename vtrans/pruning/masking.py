"""Apply gates to a model without touching its code: hooks that are gone when the context ends."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtrans.anatomy import Anatomy, Block, anatomy_of
from vtrans.anatomy.base import Skips
from vtrans.pruning.masks import Masks


class Masking:
    """Holds the masks that the hooks of one model read at each forward pass."""

    def __init__(self, masks: Masks) -> None:
        self.masks = masks


@contextmanager
def apply_masks(model: nn.Module, masks: Masks) -> Iterator[Masking]:
    """Mask `model` inside the context; set `.masks` of what it yields before each forward pass.

    The hidden gate is multiplied into every norm of the residual stream, which makes it exact there and
    in the residual; norms run over the survivors only. Head and FFN gates multiply the input of the
    output projections, layer gates their output. A sub-layer that is not alive is the identity.

    Args:
        model: a model with an anatomy; its parameters are not changed.
        masks: masks to start with.
    """
    anatomy, masking = anatomy_of(model), Masking(masks.to(next(model.parameters()).device))
    with ExitStack() as stack:
        for path in anatomy.norms:
            stack.enter_context(_forward(norm := model.get_submodule(path), _masked_norm(norm, anatomy.rms, masking)))
        for index, block in enumerate(anatomy.blocks):
            _gate_block(model, anatomy, block, index, masking, stack)
        yield masking


def _gate_block(
    model: nn.Module, anatomy: Anatomy, block: Block, index: int, masking: Masking, stack: ExitStack
) -> None:
    def scale_context(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        """Multiply the context by the head gates."""
        z = masking.masks.heads[index].repeat_interleave(anatomy.head_size * block.group, dim=-1)
        return (args[0] * z.to(args[0].dtype),)

    def scale_ffn(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        """Multiply the activations by the FFN gates."""
        return (args[0] * masking.masks.ffn[index].to(args[0].dtype),)

    def scale_layer(site: str) -> Callable[..., Any]:
        """Hook for the gate of a sub-layer."""

        def hook(module: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
            """Multiply the sub-layer's output."""
            found: Tensor = output * getattr(masking.masks, site)[index].unsqueeze(-1).to(output.dtype)
            return found

        return hook

    if block.heads:
        out = model.get_submodule(block.out)
        stack.enter_context(out.register_forward_pre_hook(scale_context))
        stack.enter_context(out.register_forward_hook(scale_layer("attention_layer")))
        _skip_when_dead(model, block.attention_skip, lambda: masking.masks.attention_alive[index], stack)
    if block.ffn:
        down = model.get_submodule(block.down)
        stack.enter_context(down.register_forward_pre_hook(scale_ffn))
        stack.enter_context(down.register_forward_hook(scale_layer("ffn_layer")))
        _skip_when_dead(model, block.ffn_skip, lambda: masking.masks.ffn_alive[index], stack)


def _skip_when_dead(model: nn.Module, skips: Skips, alive: Callable[[], bool], stack: ExitStack) -> None:
    for path, make in skips.items():
        module, skip = model.get_submodule(path), make()

        def forward(inner: Callable[..., Any], *args: Any, _skip: nn.Module = skip, **kwargs: Any) -> Any:
            return inner(*args, **kwargs) if alive() else _skip(*args, **kwargs)

        stack.enter_context(_forward(module, forward))


@contextmanager
def _forward(module: nn.Module, replacement: Callable[..., Any]) -> Iterator[None]:
    """Let `replacement(original_forward, *args)` stand for `module.forward`; nested use unwinds in order."""
    before = module.__dict__.get("forward")
    inner = module.forward
    module.forward = lambda *args, **kwargs: replacement(inner, *args, **kwargs)
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before


def _masked_norm(norm: Any, rms: bool, masking: Masking) -> Callable[..., Tensor]:
    def forward(inner: Callable[..., Tensor], x: Tensor) -> Tensor:
        masks = masking.masks
        if rms:
            return masked_rms_norm(x, norm.weight, norm.variance_epsilon, masks.hidden, masks.survivors)
        return masked_layer_norm(x, norm.weight, norm.bias, norm.eps, masks.hidden, masks.survivors)

    return forward


def masked_layer_norm(
    x: Tensor, weight: Tensor, bias: Tensor | None, eps: float, z: Tensor, survivors: Tensor | None
) -> Tensor:
    """LayerNorm over the surviving units alone, times `z`, at the speed of the fused kernel.

    Units that are gone are set to the mean of the n survivors. The mean of all d units is then that of the survivors,
    and their variance n/d of the survivors', which a rescaled eps and weight make up for. Exact where `z` is 0 outside
    the survivors, as after a decision; while gates are drawn, other units give `bias * z`.

    Args:
        x: `(..., d)`.
        weight, bias: affine of the norm, `(d,)`; the bias may be None.
        eps: added to the variance.
        z: hidden masks, `(d,)`.
        survivors: bool `(d,)`, or None for all.
    """
    weight, bias = weight * z, None if bias is None else bias * z
    if survivors is None:
        return F.layer_norm(x, x.shape[-1:], weight, bias, eps)
    share = survivors.float().mean()
    mean = (x @ survivors.to(x.dtype)).unsqueeze(-1) / survivors.sum().to(x.dtype)
    x = torch.where(survivors, x, mean)
    return F.layer_norm(x, x.shape[-1:], weight * share.sqrt(), bias, eps * float(share))


def masked_rms_norm(x: Tensor, weight: Tensor, eps: float, z: Tensor, survivors: Tensor | None) -> Tensor:
    """RMSNorm over the surviving units alone, times `z`, in fp32 as LLaMA's; arguments as of `masked_layer_norm`."""
    exact = x.float()
    if survivors is None:
        square = exact.square().mean(-1, keepdim=True)
    else:
        square = (exact.square() @ survivors.float()).unsqueeze(-1) / survivors.sum()
    scaled = exact * torch.rsqrt(square + eps)
    return weight * z.to(weight.dtype) * (scaled if survivors is None else scaled * survivors).to(x.dtype)
