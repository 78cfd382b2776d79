"""Masked language modelling: text in windows with tokens masked, their perplexity and accuracy."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.common.checkpoints import load_model
from benchmark.tasks.kind import Scored
from benchmark.tasks.language_modeling.text import RunningText, joined, token_ids
from benchmark.tasks.padding import pad_of
from benchmark.tasks.registry import Task
from vtrans.errors import SuiteError

if TYPE_CHECKING:
    from torch import nn

    from vtrans.data.examples import Examples
    from vtrans.data.masked_lm import MaskedWindows

SEED = 0  # of the masks of the evaluation


class MaskedLM(RunningText):
    """Masked tokens of a text predicted from all the others."""

    unit = "masked tokens"
    head = ("MaskedLM",)

    def encode(self, task: Task, rows: Sequence[str], tokenizer: Any, max_length: int) -> "MaskedWindows":
        """The rows, joined, in windows of `max_length` tokens that do not overlap.

        Raises:
            SuiteError: the tokenizer has no mask, or the text is shorter than one window.
        """
        from vtrans.data.masked_lm import MaskedWindows

        if tokenizer.mask_token_id is None:
            raise SuiteError(
                "the model's tokenizer has no mask token", "take an encoder, or a task of causal language modelling"
            )
        ids = token_ids(tokenizer, joined(task, rows))
        frame = (tokenizer.cls_token_id, tokenizer.sep_token_id)
        settings = {"pad": pad_of(tokenizer), "mask": tokenizer.mask_token_id, "vocabulary": len(tokenizer)}
        return MaskedWindows.of(ids, max_length, frame, **settings)

    def pretrained(self, source: Path, task: Task, seed: int) -> "nn.Module":
        """The encoder of a folder under its MLM head; what the folder lacks of the head is drawn from `seed`."""
        import torch
        from transformers import AutoModelForMaskedLM

        torch.manual_seed(seed)
        model: nn.Module = load_model(AutoModelForMaskedLM, source)
        return model

    def evaluate(self, task: Task, model: "nn.Module", examples: "Examples") -> Scored:
        """Perplexity and accuracy of the masked tokens, under masks that are the same for every model.

        Predictions are the summed NLL, in nats, and the hits of each window.
        """
        from benchmark.tasks.language_modeling.perplexity import masked_hits, masked_metrics

        masked = _masked(examples).fixed(SEED)
        nll, hits = masked_hits(model, masked)
        return Scored(masked_metrics(nll, hits, self.count((), masked)), predictions={"nll": nll, "hits": hits})

    def count(self, rows: Sequence[str], examples: "Examples") -> int:
        """Tokens that are masked in one pass over the windows."""
        from vtrans.data.masked_lm import masked_count

        return sum(map(masked_count, _masked(examples).lengths))


def _masked(examples: "Examples") -> "MaskedWindows":
    from vtrans.data.masked_lm import MaskedWindows

    assert isinstance(examples, MaskedWindows)
    return examples
