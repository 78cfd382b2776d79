"""Language modelling: text in windows of the stated context, perplexity and bits a byte."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.kinds import Scored
from benchmark.models import load_model
from benchmark.tasks import Task
from benchmark.text import joined, load_text, source_files, token_ids

if TYPE_CHECKING:
    from torch import nn

    from vtrans.examples import Examples
    from vtrans.windows import Windows

__all__ = ["check_source", "count", "encode", "evaluate", "load", "pretrained", "remark"]
load, check_source = load_text, source_files


def encode(task: Task, rows: Sequence[Any], tokenizer: Any, max_length: int) -> "Windows":
    """The rows, joined, in windows of `max_length` tokens that do not overlap.

    Raises:
        SuiteError: the text is shorter than one window.
    """
    from vtrans.windows import Windows

    text = joined(task, rows)
    ids = token_ids(tokenizer, text)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return Windows.of(ids, max_length, pad or 0, text_bytes=len(text.encode()))


def pretrained(source: Path, task: Task, seed: int) -> "nn.Module":
    """The language model of a folder; nothing is drawn from `seed`."""
    from transformers import AutoModelForCausalLM

    return load_model(AutoModelForCausalLM, source)


def evaluate(task: Task, model: "nn.Module", examples: "Examples") -> Scored:
    """Perplexity a token, and bits a byte of the text at the mean NLL of its tokens."""
    from benchmark.perplexity import metrics_of

    return Scored(metrics_of(model, _windows(examples)))


def count(rows: Sequence[Any], examples: "Examples") -> int:
    """Tokens that are predicted."""
    return _windows(examples).scored


def _windows(examples: "Examples") -> "Windows":
    from vtrans.windows import Windows

    assert isinstance(examples, Windows)
    return examples


def remark(examples: "Examples") -> str:
    """Nothing."""
    return ""
