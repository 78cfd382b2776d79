"""Evaluate a model on a task: fp32, batches of 32, real lengths."""

import torch
from torch import nn

from benchmark.metrics import score
from benchmark.tasks import Task
from vtrans.examples import Examples

BATCH = 32


@torch.no_grad()
def predict(model: nn.Module, examples: Examples) -> torch.Tensor:
    """Logits `(rows, outputs)` in the order of the rows; computed shortest rows first."""
    device = next(model.parameters()).device
    order = sorted(range(len(examples)), key=examples.lengths.__getitem__)
    logits = []
    for start in range(0, len(order), BATCH):
        batch = examples.batch(order[start : start + BATCH])
        batch.pop("labels")
        logits.append(model(**{k: v.to(device) for k, v in batch.items()}).logits.float().cpu())
    return torch.cat(logits)[torch.tensor(order).argsort()]


def evaluate_task(model: nn.Module, task: Task, examples: Examples) -> dict[str, float]:
    """Every metric of the task for `model` in evaluation mode, in percent."""
    logits = predict(model.eval(), examples)
    guesses = logits.squeeze(-1) if task.regression else logits.argmax(-1)
    return score(task, guesses.tolist(), examples.labels.tolist())
