"""Models and tokenizers from folders, each damage named."""

from pathlib import Path
from typing import Any

from vtrans.errors import SuiteError


def load_model(kind: Any, source: Path, **settings: Any) -> Any:
    """The model in folder `source` as transformers' auto class `kind` loads it, in fp32.

    Raises:
        SuiteError: the weights are missing, damaged or of other shapes than the config says.
    """
    import torch
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        return kind.from_pretrained(source, local_files_only=True, dtype=torch.float32, **settings)
    except Exception as error:  # the library raises OSError, ValueError, RuntimeError and safetensors' own
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SuiteError(f"{source} holds no model that fits its config ({first})", "save the model again") from None


def check_positions(source: Path, length: int) -> None:
    """Raise `SuiteError` where sequences of `length` tokens are longer than the model in `source` has positions."""
    from transformers import AutoConfig

    from vtrans.anatomy import family_of

    config = AutoConfig.from_pretrained(source, local_files_only=True)
    positions = config.max_position_embeddings - family_of(config).reserved_positions(config)
    if length > positions:
        raise SuiteError(
            f"sequences of {length} tokens are longer than the {positions} positions of {source}",
            f"use shorter sequences: another preset, or --max-length {positions} where the command has it",
        )


def load_tokenizer(source: Path) -> Any:
    """The tokenizer of a model folder.

    Raises:
        SuiteError: it is missing, damaged, or too large for the model's embeddings.
    """
    from transformers import AutoConfig, AutoTokenizer

    if not any((source / name).exists() for name in ("tokenizer.json", "vocab.txt")):
        raise SuiteError(f"{source} has no tokenizer", "save it there with tokenizer.save_pretrained")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
        rows = AutoConfig.from_pretrained(source, local_files_only=True).vocab_size
    except Exception as error:  # the library raises OSError, ValueError, KeyError and its own
        raise SuiteError(f"{source} has a damaged tokenizer ({type(error).__name__})", "save it again") from None
    if len(tokenizer) > rows:
        raise SuiteError(
            f"the tokenizer has {len(tokenizer)} tokens, the model {rows}", "give the model its own tokenizer"
        )
    return tokenizer
