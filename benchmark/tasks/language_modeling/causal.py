"""Causal language modelling: text in windows of the stated context, perplexity and bits per byte."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.common.checkpoints import load_model
from benchmark.tasks.kind import Scored
from benchmark.tasks.language_modeling.text import RunningText, joined, token_ids
from benchmark.tasks.registry import Task

if TYPE_CHECKING:
    from torch import nn

    from vtrans.data.examples import Examples
    from vtrans.data.windows import Windows


class CausalLM(RunningText):
    """Each token of a text predicted from those before it."""

    unit = "tokens"
    decodes = True
    head = ("LMHead", "CausalLM")

    def encode(self, task: Task, rows: Sequence[str], tokenizer: Any, max_length: int) -> "Windows":
        """The rows, joined, in windows of `max_length` tokens that do not overlap.

        Raises:
            SuiteError: the text is shorter than one window.
        """
        from vtrans.data.windows import Windows

        text = joined(task, rows)
        ids = token_ids(tokenizer, text)
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        return Windows.of(ids, max_length, pad or 0, text_bytes=len(text.encode()))

    def pretrained(self, source: Path, task: Task, seed: int) -> "nn.Module":
        """The language model of a folder; nothing is drawn from `seed`."""
        from transformers import AutoModelForCausalLM

        model: nn.Module = load_model(AutoModelForCausalLM, source)
        return model

    def evaluate(self, task: Task, model: "nn.Module", examples: "Examples") -> Scored:
        """Perplexity per token and bits per byte; predictions are the summed NLL of each window, in nats."""
        from benchmark.tasks.language_modeling.perplexity import metrics_of, window_nll

        windows = _windows(examples)
        nll = window_nll(model, windows)
        return Scored(metrics_of(nll, windows), predictions={"nll": nll})

    def count(self, rows: Sequence[str], examples: "Examples") -> int:
        """Tokens that are predicted."""
        return _windows(examples).scored

    def least_tokens(self, tokenizer: Any) -> int:
        """Two: nothing frames a window."""
        return 2


def _windows(examples: "Examples") -> "Windows":
    from vtrans.data.windows import Windows

    assert isinstance(examples, Windows)
    return examples
