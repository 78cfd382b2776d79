"""Questions and passages as sequences, and the spans that models find in them as answers."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.tasks.padding import pad_of
from benchmark.tasks.question_answering.rows import Question
from vtrans.data.examples import Examples
from vtrans.errors import SuiteError

STRIDE, QUESTION_TOKENS = 128, 64  # of run_squad; the stride is what neighbouring windows share
ROWS = 1000  # questions that are tokenised at a time: as Python lists all of SQuAD takes gigabytes
ANSWER_TOKENS, CANDIDATES = 30, 20  # longest answer, and starts and ends that are tried


@dataclass(frozen=True)
class SpanExamples(Examples):
    """Windows of passages, each after its question. `labels` are zeros, one per window.

    Attributes:
        spans: token where the answer starts and where it ends; (0, 0), the first token, where it is not in there.
        offsets: characters of the passage that each token stands for, `(tokens, 2)`; -1 for those of the question.
        owner: index of each window's question.
        questions: all of them.
        cut: how many have an answer that is whole in no window.
    """

    spans: Sequence[tuple[int, int]] = ()
    offsets: Sequence[np.ndarray] = ()
    owner: Sequence[int] = ()
    questions: Sequence[Question] = ()
    cut: int = 0

    def take(self, rows: Sequence[int]) -> "SpanExamples":
        """The given windows, in the given order."""
        part = super().take(rows)
        return replace(
            self,
            ids=part.ids,
            types=part.types,
            labels=part.labels,
            spans=[self.spans[r] for r in rows],
            offsets=[self.offsets[r] for r in rows],
            owner=[self.owner[r] for r in rows],
        )

    def batch(self, rows: Sequence[int], length: int = 0) -> dict[str, Tensor]:
        """Inputs `(rows, longest)` with `start_positions` and `end_positions` `(rows,)`."""
        inputs = super().batch(rows, length)
        del inputs["labels"]
        starts, ends = zip(*(self.spans[r] for r in rows), strict=True)
        return inputs | {"start_positions": torch.tensor(starts), "end_positions": torch.tensor(ends)}


def encode(rows: Sequence[Question], tokenizer: Any, max_length: int) -> SpanExamples:
    """Windows of at most `max_length` tokens; a passage that does not fit goes over several, which overlap.

    Raises:
        SuiteError: there is no room for a passage beside the question, or no answer is whole in any window.
    """
    taken = QUESTION_TOKENS + tokenizer.num_special_tokens_to_add(pair=True)
    stride = min(STRIDE, (max_length - QUESTION_TOKENS) // 2, max_length - taken - 1)
    if stride < 1:
        raise SuiteError(f"{max_length} tokens leave no room for a passage", f"allow {taken + 2} or more")
    ids, types, offsets, owner = [], [], [], []
    for start in range(0, len(rows), ROWS):
        encoded = _encoded(rows[start : start + ROWS], tokenizer, max_length, stride)
        ids += [array("i", part) for part in encoded["input_ids"]]
        types += [array("b", part) for part in encoded["token_type_ids"]]
        offsets += [_of_passage(encoded, i) for i in range(len(encoded["input_ids"]))]
        owner += [start + i for i in encoded["overflow_to_sample_mapping"]]
    spans = [_span(rows[i], known) for i, known in zip(owner, offsets, strict=True)]
    found = {i for i, span in zip(owner, spans, strict=True) if span != (0, 0)}
    answered = [i for i, row in enumerate(rows) if row.answers]
    if answered and not found:
        raise SuiteError(
            f"no window of {max_length} tokens holds an answer",
            "use longer ones: another preset, or --max-length where the command has it",
        )
    return SpanExamples(
        ids=ids,
        types=types,
        labels=torch.zeros(len(owner), dtype=torch.long),
        pad=pad_of(tokenizer),
        spans=spans,
        offsets=offsets,
        owner=owner,
        questions=rows,
        cut=len(set(answered) - found),
    )


def _encoded(rows: Sequence[Question], tokenizer: Any, max_length: int, stride: int) -> Any:
    return tokenizer(
        [_shortened(row.question, tokenizer) for row in rows],
        [row.context for row in rows],
        truncation="only_second",
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_token_type_ids=True,
    )


def _of_passage(encoded: Any, window: int) -> np.ndarray:
    """Characters of the passage of each token, -1 for tokens of the question."""
    offsets = np.array(encoded["offset_mapping"][window], dtype=np.int32)
    offsets[[part != 1 for part in encoded.sequence_ids(window)]] = -1
    return offsets


def _shortened(question: str, tokenizer: Any) -> str:
    pairs = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return question if len(pairs) <= QUESTION_TOKENS else question[: pairs[QUESTION_TOKENS - 1][1]]


def _span(row: Question, offsets: np.ndarray) -> tuple[int, int]:
    """First and last token of the first answer; (0, 0) where the window does not hold all of it."""
    if not row.answers:
        return 0, 0
    text, first = row.answers[0]
    last, whole = first + len(text), offsets[offsets[:, 0] >= 0]
    inside = np.flatnonzero((offsets[:, 0] >= 0) & (offsets[:, 0] < last) & (offsets[:, 1] > first))
    if not len(inside) or whole[0, 0] > first or whole[-1, 1] < last:
        return 0, 0
    return int(inside[0]), int(inside[-1])


def answers(rows: Sequence[Question], examples: SpanExamples, logits: Sequence[Tensor], may_abstain: bool) -> list[str]:
    """The text that each question is answered with, from the logits `(length, 2)` of its windows.

    The best span over all windows: starts and ends within the passage, in order, not longer than 30 tokens, of
    the largest sum of logits. Where questions may have no answer, the empty text if the first token scores higher.
    """
    best = [("", float("-inf"))] * len(rows)
    null = [float("inf")] * len(rows)
    for window, owner in enumerate(examples.owner):
        scores, offsets = logits[window], examples.offsets[window]
        null[owner] = min(null[owner], float(scores[0].sum()))
        found = _best_span(scores, offsets)
        if found is not None and found[0] > best[owner][1]:
            best[owner] = (rows[owner].context[offsets[found[1], 0] : offsets[found[2], 1]], found[0])
    return ["" if may_abstain and empty > score else text for (text, score), empty in zip(best, null, strict=True)]


def _best_span(scores: Tensor, offsets: np.ndarray) -> tuple[float, int, int] | None:
    passage = torch.from_numpy(np.flatnonzero(offsets[:, 0] >= 0))
    if not len(passage):
        return None
    some = min(CANDIDATES, len(passage))
    starts, ends = (passage[scores[passage, side].topk(some).indices] for side in (0, 1))
    sums = scores[starts, 0][:, None] + scores[ends, 1][None]
    lengths = ends[None] - starts[:, None] + 1
    sums = sums.masked_fill((lengths < 1) | (lengths > ANSWER_TOKENS), float("-inf"))
    value, place = sums.flatten().max(0)
    if value == float("-inf"):
        return None
    return float(value), int(starts[place // some]), int(ends[place % some])
