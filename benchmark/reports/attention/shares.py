"""Where an encoder's heads look: to special tokens, the token itself, its neighbours, and words of two kinds."""

from collections.abc import Sequence
from string import punctuation
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from torch import Tensor, nn

from benchmark.reports.attention.heads import TARGETS
from vtrans.data.examples import Examples, unlabelled
from vtrans.errors import SuiteError

SPECIAL, CONTENT, FUNCTION = 0, 3, 4
BATCH = 16
SPACE = "Ġ"  # what byte-level BPE writes for a space


def token_kinds(ids: Sequence[int], tokenizer: Any) -> list[int]:
    """Kind of each token: special, of a content word, or of a function word, number or punctuation mark.

    All pieces of a word are of its kind. Function words are scikit-learn's English stop words.
    """
    special = set(tokenizer.all_special_ids)
    pieces = tokenizer.convert_ids_to_tokens(list(ids))
    continues = _goes_on_spaced if any(piece.startswith(SPACE) for piece in pieces) else _goes_on
    kinds: list[int] = []
    word: list[int] = []
    for index, piece in enumerate(pieces):
        if word and (ids[index] in special or not continues(pieces[index - 1], piece)):
            kinds += [_kind_of("".join(map(_text, (pieces[i] for i in word))))] * len(word)
            word = []
        if ids[index] in special:
            kinds.append(SPECIAL)
        else:
            word.append(index)
    return kinds + [_kind_of("".join(map(_text, (pieces[i] for i in word))))] * len(word)


def _goes_on(before: str, piece: str) -> bool:
    """Whether a WordPiece goes on with the word before it."""
    return piece.startswith("##")


def _goes_on_spaced(before: str, piece: str) -> bool:
    """The same of a piece of byte-level BPE, in which a word brings the space before it, and punctuation none."""
    return not (piece.startswith(SPACE) or piece[0] in punctuation or before[-1] in punctuation)


def _text(piece: str) -> str:
    return piece.removeprefix("##").removeprefix(SPACE)


def _kind_of(word: str) -> int:
    return CONTENT if word.isalpha() and word.lower() not in ENGLISH_STOP_WORDS else FUNCTION


def targets(kinds: Tensor) -> Tensor:
    """What each token is to each other one: index into `TARGETS`, `(length, length)`, queries first.

    A special token is that to all, itself included; then come the token itself, its neighbours, and the rest.
    """
    length = len(kinds)
    distance = (torch.arange(length)[:, None] - torch.arange(length)[None]).abs()
    found = kinds[None].expand(length, length).clone()
    words = found != SPECIAL
    found[words & (distance == 0)] = 1
    found[words & (distance == 1)] = 2
    return found


@torch.no_grad()
def attention_shares(model: Any, examples: Examples, tokenizer: Any) -> np.ndarray:
    """Share of its attention that each head gives to each target, `(layers, heads, targets)`; the last axis sums to 1.

    The mean over all real tokens as queries, special ones included.

    Raises:
        SuiteError: the model gives no attention weights.
    """
    model.eval().set_attn_implementation("eager")
    device = next(model.parameters()).device
    total, queries = np.zeros(()), 0
    for start in range(0, len(examples), BATCH):
        rows = range(start, min(start + BATCH, len(examples)))
        batch = {k: v.to(device) for k, v in unlabelled(examples.batch(rows)).items()}
        weights = model(**batch, output_attentions=True).attentions
        if not weights or any(layer is None for layer in weights):
            raise SuiteError("the model gives no attention weights", "probe an encoder whose layers are all there")
        for i, row in enumerate(rows):
            own = torch.stack([layer[i, :, : len(examples.ids[row]), : len(examples.ids[row])] for layer in weights])
            kinds = torch.tensor(token_kinds(examples.ids[row], tokenizer))
            onto = nn.functional.one_hot(targets(kinds), len(TARGETS)).to(own)
            total = total + torch.einsum("lhqk,qkt->lht", own.double(), onto.double()).cpu().numpy()
            queries += len(kinds)
    return total / queries
