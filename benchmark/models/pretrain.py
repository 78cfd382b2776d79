"""Small language models that the suite pre-trains itself, where no package ships one."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.common.files import write_atomically
from benchmark.models.registry import Recipe
from benchmark.tasks.kind import kind_of
from benchmark.tasks.language_modeling.text import joined, token_ids
from benchmark.tasks.registry import get_task

if TYPE_CHECKING:
    from torch import nn

    from vtrans.training.loop import Report

END = "<|endoftext|>"


def pretrain(recipe: Recipe, folder: Path, report: "Report | None" = None) -> None:
    """Train a recipe's tokenizer and model on its corpus and write them to `folder`, `made.json` last.

    An interrupted training goes on from its last checkpoint.

    Raises:
        SuiteError: the corpus is missing.
        RunFailed, RunCancelled: as `vtrans.training.loop.fit`.
    """
    from benchmark.common.device import device
    from vtrans.data.windows import Windows
    from vtrans.objectives.base import TaskObjective
    from vtrans.saving.pruned import quiet
    from vtrans.training.loop import RunContext, fit

    task = get_task(recipe.corpus)
    data = kind_of(task).load(task)
    text = joined(task, data.train)
    tokenizer = train_tokenizer(data.train, recipe.vocabulary)
    tokenizer.save_pretrained(folder)
    ids = token_ids(tokenizer, text)
    windows = Windows.of(ids, recipe.context, tokenizer.pad_token_id)
    model: Any = blank(recipe).to(device())
    run_context = RunContext(folder=folder, report=report)
    fit(TaskObjective(model), windows, recipe.schedule, 0, "pretrain", run_context)
    with quiet():
        model.save_pretrained(folder)
    (folder / "pretrain.ckpt").unlink()
    seen = recipe.schedule.total(len(windows)) * recipe.schedule.batch * recipe.context
    made = {"seconds": round(run_context.elapsed["pretrain"], 1), "tokens_seen": seen, "corpus_tokens": len(ids)}
    write_atomically(folder / "made.json", json.dumps(made | {"corpus": data.source, "recipe": asdict(recipe)}) + "\n")


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Any:
    """A byte-level BPE tokenizer like GPT-2's, of that many entries, trained on the texts."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=vocabulary, special_tokens=[END], show_progress=False)
    return PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, eos_token=END, bos_token=END, pad_token=END)


def blank(recipe: Recipe) -> "nn.Module":
    """A GPT-2 of the recipe's shape with weights drawn from seed 0. It has no dropout: it sees its text once."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    torch.manual_seed(0)
    config = GPT2Config(
        n_layer=recipe.layers,
        n_embd=recipe.hidden,
        n_head=recipe.heads,
        n_positions=recipe.context,
        vocab_size=recipe.vocabulary,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    found: nn.Module = GPT2LMHeadModel(config)
    return found
