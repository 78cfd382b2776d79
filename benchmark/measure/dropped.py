"""At which layer a model drops each token of a few sentences."""

from typing import Any

import torch
from torch import nn

from vtrans.data.examples import Examples, unlabelled
from vtrans.tokens import record_tokens


@torch.no_grad()
def dropped(model: nn.Module, examples: Examples, tokenizer: Any) -> list[dict[str, list[Any]]]:
    """Each sequence's `tokens`, and their `layers`: the first whose FFN does not see the token, from 1, or 0.

    Empty for a model that drops no tokens.
    """
    device = next(model.parameters()).device
    batch = unlabelled(examples.batch(range(len(examples))))
    with record_tokens(model.eval()) as record:
        model(**{name: tensor.to(device) for name, tensor in batch.items()})
    if not record.survivors:
        return []
    seen = torch.zeros(batch["input_ids"].shape, dtype=torch.long)
    for left in record.survivors:
        seen[left.sample.cpu(), left.place.cpu()] += 1
    layers = torch.where(seen < len(record.survivors), seen + 1, 0)
    return [
        {
            "tokens": tokenizer.convert_ids_to_tokens([int(each) for each in ids]),
            "layers": layers[row, : len(ids)].tolist(),
        }
        for row, ids in enumerate(examples.ids)
    ]
