"""What stands in for the pruned sub-layers of pre-norm decoders: they add nothing to the residual stream."""

from typing import Any

from torch import Tensor, nn


class ZeroAttention(nn.Module):
    """In place of an attention that was pruned whole. Its layer of the cache counts positions and holds nothing.

    Args:
        layer: index of the layer.
    """

    def __init__(self, layer: int) -> None:
        super().__init__()
        self.layer = layer

    def forward(
        self, hidden_states: Tensor, *args: Any, past_key_values: Any = None, **kwargs: Any
    ) -> tuple[Tensor, None]:
        """Zeros like the input `(batch, length, hidden)`, and no attention weights."""
        if past_key_values is not None:
            nothing = hidden_states.new_zeros(hidden_states.shape[0], 1, hidden_states.shape[1], 0)
            past_key_values.update(nothing, nothing, self.layer)
        return hidden_states * 0, None


class ZeroFFN(nn.Module):
    """In place of an FFN that was pruned whole."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Zeros like the input `(batch, length, hidden)`."""
        return hidden_states * 0
