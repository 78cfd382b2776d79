"""MACs of a model whose layers see different numbers of tokens, in closed form."""

from dataclasses import dataclass

import numpy as np
from torch import nn

from vtrans.pruning.size import Size
from vtrans.tokens.encoder import token_pruning_encoder


@dataclass(frozen=True)
class LayerMacs:
    """MACs of each layer by the tokens it sees; arrays of `(layers,)`.

    Attributes:
        selector: of the selector, per token that enters.
        attention, square: of the projections per token, and of scores and context per pair of tokens.
        ffn: of the FFN, per token.
        head: of pooler and task head: per sequence, or per token unless `head_per_sequence`.
    """

    selector: np.ndarray
    attention: np.ndarray
    square: np.ndarray
    ffn: np.ndarray
    head: float
    head_per_sequence: bool

    @classmethod
    def of(cls, model: nn.Module) -> "LayerMacs":
        """Read them from a model, whether it drops tokens or not."""
        size = Size.of(model)
        hidden, n = float(size.dense.hidden), size.dense
        width = size.head_size * n.heads.numpy()
        selector = np.zeros(len(width))
        encoder = token_pruning_encoder(model)
        if encoder is not None:
            selector = np.array([encoder.selector.macs(layer, int(hidden)) for layer in range(len(width))])
        head = hidden * (size.output_columns + size.head_transforms * hidden) + size.tail_macs
        attention, ffn = (2 + 2 * size.kv_share) * hidden * width, (size.ffn_inputs + 1) * hidden * n.ffn.numpy()
        return cls(selector, attention, 2 * width, ffn, head, size.head_per_sequence)

    def __call__(self, lengths: np.ndarray, widths: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """MACs of each sequence, `(rows,)`.

        Args:
            lengths: tokens that enter each layer, that its attention sees and that its FFN sees,
                `(rows, layers, 3)`.
            widths: tokens that the scores of each layer's attention are padded to, `(rows, layers)`.
            positions: tokens that a head for every token reads, `(rows,)`.
        """
        enter, seen, fed = np.moveaxis(lengths.astype(float), -1, 0)
        squares = widths.astype(float) ** 2
        layers = enter @ self.selector + seen @ self.attention + squares @ self.square + fed @ self.ffn
        found: np.ndarray = layers + self.head * (1 if self.head_per_sequence else positions)
        return found


def selector_parameters(model: nn.Module) -> int:
    """Parameters of the model's token selector, 0 where it has none."""
    encoder = token_pruning_encoder(model)
    return 0 if encoder is None else sum(p.numel() for p in encoder.selector.parameters())
