"""A dense and a pruned model side by side, layer after layer: a layer is run on kept inputs, not the whole model."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vtrans.anatomy import anatomy_of
from vtrans.data.examples import unlabelled

if TYPE_CHECKING:
    from torch import nn

    from vtrans.data.examples import Rows

HIDDEN = "hidden_states"


@dataclass
class Batch:
    """One batch on its way through the layers.

    Attributes:
        real: bool `(rows, length)`, False at padding.
        dense, pruned: what enters the next layer, `(rows, length, hidden)`, in the dense and in the pruned model.
        calls: what else each layer is called with, by position and by name.
    """

    real: Tensor
    dense: Tensor
    pruned: Tensor
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]]

    def run(self, layer: "nn.Module", index: int, states: Tensor) -> Tensor:
        """What a layer makes of states, with the call that it had."""
        args, named = self.calls[index]
        found: Any = layer(states, *args, **named)
        result: Tensor = found[0] if isinstance(found, tuple) else found
        return result


def entering(model: "nn.Module", rows: "Rows", batches: Iterable[list[int]]) -> Iterator[Batch]:
    """Batches at the first layer, each after one pass of the whole model, which is in evaluation mode."""
    anatomy, device = anatomy_of(model), next(model.parameters()).device
    for batch in batches:
        inputs = {name: value.to(device) for name, value in unlabelled(rows.batch(batch)).items()}
        first: list[Tensor] = []
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

        def look(module: "nn.Module", args: tuple[Any, ...], named: dict[str, Any]) -> None:
            """Keep a call, and of the first layer the states."""
            states, rest = (args[0], args[1:]) if args else (named[HIDDEN], ())
            first.extend([] if first else [states])  # noqa: B023  (called before the next batch)
            calls.append((rest, {name: value for name, value in named.items() if name != HIDDEN}))  # noqa: B023

        with ExitStack() as stack:
            for block in anatomy.blocks:
                layer = model.get_submodule(block.path)
                handle = layer.register_forward_pre_hook(look, with_kwargs=True)
                stack.callback(handle.remove)
            with torch.no_grad():  # a cache would grow whenever a layer runs again
                model(**inputs, **({"use_cache": False} if anatomy.causal else {}))
        yield Batch(inputs["attention_mask"].bool(), first[0], first[0], calls)
