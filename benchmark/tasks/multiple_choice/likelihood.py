"""Log-likelihood of continuations under a language model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vtrans import ranks
from vtrans.data.ragged import Ragged
from vtrans.errors import SuiteError

TOKENS = 2048  # run at a time


@dataclass(frozen=True)
class Likelihood:
    """Of one continuation: its log-likelihood in nats, and whether greedy decoding gives it."""

    total: float
    greedy: bool


def encode_pair(tokenizer: Any, context: str, continuation: str) -> tuple[list[int], list[int]]:
    """Tokens of both, split where the context alone ends; spaces at its end go to the continuation.

    The tokenizer adds to them what it adds by default, LLaMA's the begin-of-text token. Without a context that token
    stands there, or the end-of-text one where the tokenizer has none.
    """
    if not context:
        first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        return [first], tokenizer(continuation, add_special_tokens=False)["input_ids"]
    spaces = len(context) - len(context.rstrip())
    if spaces:
        context, continuation = context[:-spaces], context[-spaces:] + continuation
    whole, before = (tokenizer(text)["input_ids"] for text in (context + continuation, context))
    return whole[: len(before)], whole[len(before) :]


def likelihoods(model: nn.Module, tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
    """Of each continuation after its context, in order; the model runs in evaluation mode.

    A sequence longer than the model's positions loses the head of its context.

    Raises:
        SuiteError: a continuation alone is longer than the model's positions.
    """
    encoded = [encode_pair(tokenizer, *pair) for pair in pairs]
    limit = getattr(model.config, "max_position_embeddings", None) or 2048
    sequences = [(before + after)[-limit - 1 :] for before, after in encoded]
    targets = [len(after) for _, after in encoded]
    if max(targets, default=0) > limit:
        raise SuiteError(f"a choice has {max(targets)} tokens, the model {limit} positions", "leave the question out")
    order = sorted(range(len(pairs)), key=lambda i: -len(sequences[i]))
    batches = _batches(order, sequences)
    found = ranks.map_over_ranks(
        batches, lambda rows: _run(model, [sequences[i] for i in rows], [targets[i] for i in rows])
    )
    results = {i: each for rows, part in zip(batches, found, strict=True) for i, each in zip(rows, part, strict=True)}
    return [results[i] for i in range(len(pairs))]


def _batches(order: Sequence[int], sequences: Sequence[Sequence[int]]) -> list[list[int]]:
    batches: list[list[int]] = []
    for i in order:  # longest first, so that the first of a batch is its width
        if batches and len(sequences[batches[-1][0]]) * (len(batches[-1]) + 1) <= TOKENS:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


@torch.no_grad()
def _run(model: nn.Module, sequences: Sequence[Sequence[int]], targets: Sequence[int]) -> list[Likelihood]:
    model.eval()
    device, width = next(model.parameters()).device, max(map(len, sequences)) - 1
    inputs, rows = Ragged.of([sequence[:-1] for sequence in sequences]), range(len(sequences))
    ids, mask = inputs.padded(rows, width).to(device), inputs.mask(rows, width).to(device)
    logits = model(input_ids=ids, attention_mask=mask).logits
    found = []
    for row, (sequence, count) in enumerate(zip(sequences, targets, strict=True)):
        end = len(sequence) - 1
        scores = logits[row, end - count : end].float().log_softmax(-1)
        gold = torch.tensor(sequence[-count:], device=device)
        total = scores.gather(1, gold[:, None]).double().sum()
        found.append(Likelihood(float(total), bool((scores.argmax(-1) == gold).all())))
    return found
