"""Run a model over a data set: batches of 32 at real lengths, in the precision of the caller."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from vtrans import ranks
from vtrans.data.examples import Examples, unlabelled
from vtrans.errors import SuiteError
from vtrans.heap import trim
from vtrans.tokens import record_tokens

BATCH = 32
TRIM = 8  # batches


@dataclass(frozen=True)
class Predicted:
    """What a model gives for sequences, in their order.

    Attributes:
        logits: of each sequence, `(outputs,)`, or `(length, 2)` for the start and end of an answer.
        lengths: tokens in each layer, `(rows, layers, 3)` as of `vtrans.tokens.encoder.TokenRecord`;
            None for a model that drops none.
    """

    logits: list[torch.Tensor]
    lengths: np.ndarray | None


@torch.no_grad()
def predict(model: nn.Module, examples: Examples) -> Predicted:
    """Run a model in evaluation mode over all rows once, shortest first.

    Raises:
        SuiteError: outputs are not finite, which every metric would take for a guess.
    """
    model.eval()
    device = next(model.parameters()).device
    order = sorted(range(len(examples)), key=examples.lengths.__getitem__)
    with record_tokens(model) as record:

        def run(start: int) -> tuple[list[torch.Tensor], torch.Tensor | None]:
            """Logits of a batch, and the counts of its tokens."""
            if start % (TRIM * BATCH) == 0:
                trim()
            rows = order[start : start + BATCH]
            batch = unlabelled(examples.batch(rows))
            found = logits_of(model(**{k: v.to(device) for k, v in batch.items()})).float().cpu()
            whole = found.ndim == 2  # one set of logits per sequence
            each = [found[i] if whole else found[i, : len(examples.ids[r])].clone() for i, r in enumerate(rows)]
            return each, None if record.lengths is None else record.lengths.cpu()

        parts = ranks.map_over_ranks(range(0, len(order), BATCH), run)
    logits = [each for part, _ in parts for each in part]
    if not all(each.isfinite().all() for each in logits):
        raise SuiteError("outputs of the model are not finite", "look for nan in its weights; evaluate it in fp32")
    back = torch.tensor(order).argsort()
    kept = [lengths for _, lengths in parts if lengths is not None]
    return Predicted([logits[i] for i in back.tolist()], torch.cat(kept)[back].numpy() if kept else None)


def logits_of(outputs: Any) -> torch.Tensor:
    """The logits of a model's outputs, `(batch, outputs)`; `(batch, length, 2)` for answers' starts and ends."""
    if hasattr(outputs, "start_logits"):
        return torch.stack([outputs.start_logits, outputs.end_logits], dim=-1)
    found: torch.Tensor = outputs.logits
    return found
