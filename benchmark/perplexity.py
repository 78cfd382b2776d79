"""Perplexity of a language model over windows of a text, plain or with words masked."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from vtrans.examples import unlabelled
from vtrans.masked_words import MaskedWords
from vtrans.windows import IGNORED, Windows

TOKENS = 2048  # run at a time: with 50,000 words their logits take 400 MB


@torch.no_grad()
def total_nll(model: nn.Module, windows: Windows) -> float:
    """Negative log-likelihood of all scored tokens together, in nats; the model runs in evaluation mode."""
    model.eval()
    device, size = next(model.parameters()).device, max(1, TOKENS // max(windows.lengths))
    total = 0.0
    for start in range(0, len(windows), size):
        batch = windows.batch(range(start, min(start + size, len(windows))))
        labels, inputs = batch["labels"][:, 1:].to(device), unlabelled(batch)
        logits = model(**{k: v.to(device) for k, v in inputs.items()}).logits[:, :-1].float()
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none")
        total += float(loss.double().sum())
    return total


def metrics_of(model: nn.Module, windows: Windows) -> dict[str, float]:
    """`perplexity`, exp of the mean NLL a token, and `bits_per_byte`, that mean in bits over bytes a token."""
    nll = total_nll(model, windows) / windows.scored
    bits = nll / math.log(2) / windows.bytes_per_token
    return {"perplexity": round(math.exp(min(nll, 700.0)), 4), "bits_per_byte": round(bits, 5)}


@torch.no_grad()
def masked_metrics(model: nn.Module, words: MaskedWords) -> dict[str, float]:
    """`masked_perplexity`, exp of the mean NLL of the masked words, and `masked_accuracy` in percent."""
    model.eval()
    device, size = next(model.parameters()).device, max(1, TOKENS // max(words.lengths))
    nll, hits, count = 0.0, 0, 0
    for start in range(0, len(words), size):
        batch = words.batch(range(start, min(start + size, len(words))))
        asked, inputs = batch["labels"] != IGNORED, unlabelled(batch)
        logits = model(**{k: v.to(device) for k, v in inputs.items()}).logits[asked.to(device)].float()
        labels = batch["labels"][asked].to(device)
        nll += float(F.cross_entropy(logits, labels, reduction="none").double().sum())
        hits, count = hits + int((logits.argmax(-1) == labels).sum()), count + len(labels)
    perplexity = math.exp(min(nll / count, 700.0))
    return {"masked_perplexity": round(perplexity, 4), "masked_accuracy": round(100 * hits / count, 4)}
