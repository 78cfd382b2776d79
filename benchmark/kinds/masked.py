"""Masked language modelling: text in windows with words masked, their perplexity and accuracy."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.kinds import Scored
from benchmark.models import load_model
from benchmark.tasks import Task
from benchmark.text import joined, load_text, source_files, token_ids
from vtrans.errors import SuiteError

if TYPE_CHECKING:
    from torch import nn

    from vtrans.examples import Examples
    from vtrans.masked_words import MaskedWords

__all__ = ["check_source", "count", "encode", "evaluate", "load", "pretrained", "remark"]
load, check_source = load_text, source_files
SEED = 0  # of the masks of the evaluation


def encode(task: Task, rows: Sequence[Any], tokenizer: Any, max_length: int) -> "MaskedWords":
    """The rows, joined, in windows of `max_length` tokens that do not overlap.

    Raises:
        SuiteError: the tokenizer has no mask, or the text is shorter than one window.
    """
    from vtrans.masked_words import MaskedWords

    if tokenizer.mask_token_id is None:
        raise SuiteError("the model's tokenizer has no mask token", "take an encoder, or a task of language modelling")
    ids = token_ids(tokenizer, joined(task, rows))
    frame = (tokenizer.cls_token_id, tokenizer.sep_token_id)
    settings = {"pad": tokenizer.pad_token_id, "mask": tokenizer.mask_token_id, "vocabulary": len(tokenizer)}
    return MaskedWords.of(ids, max_length, frame, **settings)


def pretrained(source: Path, task: Task, seed: int) -> "nn.Module":
    """The encoder of a folder under its head for words; what the folder lacks of the head is drawn from `seed`."""
    import torch
    from transformers import AutoModelForMaskedLM

    torch.manual_seed(seed)
    return load_model(AutoModelForMaskedLM, source)


def evaluate(task: Task, model: "nn.Module", examples: "Examples") -> Scored:
    """Perplexity and accuracy of the masked words, under masks that are the same for every model."""
    from benchmark.perplexity import masked_metrics

    return Scored(masked_metrics(model, _words(examples).fixed(SEED)))


def count(rows: Sequence[Any], examples: "Examples") -> int:
    """Words that are masked in one pass over the windows."""
    from vtrans.masked_words import asked

    return sum(map(asked, _words(examples).lengths))


def _words(examples: "Examples") -> "MaskedWords":
    from vtrans.masked_words import MaskedWords

    assert isinstance(examples, MaskedWords)
    return examples


def remark(examples: "Examples") -> str:
    """Nothing."""
    return ""
