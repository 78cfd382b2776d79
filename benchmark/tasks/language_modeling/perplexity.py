"""Perplexity of a language model over windows of a text, causal or with tokens masked."""

import math

import numpy as np
import torch
from torch import nn

from vtrans import ranks
from vtrans.data.examples import Examples, unlabelled
from vtrans.data.masked_lm import MaskedWindows
from vtrans.data.windows import IGNORED, Windows
from vtrans.objectives.vocabulary import following, surprisal

TOKENS = 2048  # run at a time: with a vocabulary of 50,000 their logits take 400 MB
HIGHEST = 700.0  # of a mean NLL in nats, before exp overflows


def _parts(windows: Examples) -> list[range]:
    size = max(1, TOKENS // max(windows.lengths))
    return [range(start, min(start + size, len(windows))) for start in range(0, len(windows), size)]


def _nll(logits: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Summed negative log-likelihood of each sequence, `(batch,)`, from `(batch, length, vocabulary)`."""
    return surprisal(logits, labels).double().sum(1).cpu().numpy()


@torch.no_grad()
def window_nll(model: nn.Module, windows: Windows) -> np.ndarray:
    """Negative log-likelihood of the scored tokens of each window, in nats, `(windows,)`; in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device

    def run(part: range) -> np.ndarray:
        """Of some windows."""
        batch = windows.batch(part)
        labels, inputs = batch["labels"].to(device), unlabelled(batch)
        logits = model(**{k: v.to(device) for k, v in inputs.items()}).logits
        return _nll(logits, following(labels))

    return np.concatenate(ranks.map_over_ranks(_parts(windows), run))


def metrics_of(nll: np.ndarray, windows: Windows) -> dict[str, float]:
    """`perplexity`, exp of the mean NLL per token, and `bits_per_byte`, that mean in bits over bytes per token."""
    mean = float(nll.sum()) / windows.scored
    bits = mean / math.log(2) / windows.bytes_per_token
    return {"perplexity": round(math.exp(min(mean, HIGHEST)), 4), "bits_per_byte": round(bits, 5)}


@torch.no_grad()
def masked_hits(model: nn.Module, windows: MaskedWindows) -> tuple[np.ndarray, np.ndarray]:
    """Of the masked tokens of each window: negative log-likelihood in nats, and how many are guessed, `(windows,)`."""
    model.eval()
    device = next(model.parameters()).device

    def run(part: range) -> tuple[np.ndarray, np.ndarray]:
        """Of some windows."""
        batch = windows.batch(part)
        labels, inputs = batch["labels"].to(device), unlabelled(batch)
        logits = model(**{k: v.to(device) for k, v in inputs.items()}).logits
        return _nll(logits, labels), ((logits.argmax(-1) == labels) & (labels != IGNORED)).sum(1).cpu().numpy()

    nll, hits = zip(*ranks.map_over_ranks(_parts(windows), run), strict=True)
    return np.concatenate(nll), np.concatenate(hits)


def masked_metrics(nll: np.ndarray, hits: np.ndarray, count: int) -> dict[str, float]:
    """`masked_perplexity`, exp of the mean NLL of `count` masked tokens, and `masked_accuracy` in percent."""
    perplexity = math.exp(min(float(nll.sum()) / count, HIGHEST))
    return {"masked_perplexity": round(perplexity, 4), "masked_accuracy": round(100 * int(hits.sum()) / count, 4)}
