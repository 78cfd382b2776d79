"""Run a model over a data set: fp32, batches of 32, real lengths."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from vtrans.examples import Examples
from vtrans.tokens import token_lengths

BATCH = 32


@dataclass(frozen=True)
class Predicted:
    """What a model gives for rows, in their order.

    Attributes:
        logits: `(rows, outputs)`.
        lengths: tokens under way in each layer, `(rows, layers, 3)` as of `vtrans.tokens.token_lengths`;
            None for a model that drops none.
    """

    logits: torch.Tensor
    lengths: np.ndarray | None


@torch.no_grad()
def predict(model: nn.Module, examples: Examples) -> Predicted:
    """Run a model in evaluation mode over all rows once, shortest first."""
    model.eval()
    device = next(model.parameters()).device
    order = sorted(range(len(examples)), key=examples.lengths.__getitem__)
    logits, lengths = [], []
    for start in range(0, len(order), BATCH):
        batch = examples.batch(order[start : start + BATCH])
        batch.pop("labels")
        logits.append(model(**{k: v.to(device) for k, v in batch.items()}).logits.float().cpu())
        lengths.append(token_lengths(model))
    back = torch.tensor(order).argsort()
    kept = [part for part in lengths if part is not None]
    return Predicted(torch.cat(logits)[back], torch.cat(kept)[back.to(kept[0].device)].cpu().numpy() if kept else None)
