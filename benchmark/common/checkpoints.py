"""Models and tokenizers from folders, each damage named."""

from pathlib import Path
from typing import Any

from vtrans.errors import SuiteError


def load_model(kind: Any, source: Path, **settings: Any) -> Any:
    """The model in folder `source` as transformers' auto class `kind` loads it, in fp32.

    A head that its config does not claim is drawn anew, a pooler with it.

    Raises:
        SuiteError: the weights are missing, in part or whole, damaged or of other shapes than the config says.
    """
    import torch
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    # Of the file: loading names the class that it makes. Those of other libraries' weights have none.
    claimed = (read_config(source).architectures or []) if (source / "config.json").exists() else []
    try:
        model, found = kind.from_pretrained(
            source, local_files_only=True, dtype=torch.float32, output_loading_info=True, **settings
        )
    except Exception as error:  # the library raises OSError, ValueError, RuntimeError and safetensors' own
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SuiteError(f"{source} holds no model that fits its config ({first})", "save the model again") from None
    whole, body = type(model).__name__ in claimed, f"{model.base_model_prefix}."
    missing = (name for name in found["missing_keys"] if whole or name.startswith(body))
    if lacking := sorted(name for name in missing if whole or ".pooler." not in name):
        raise SuiteError(f"{source} lacks weights that its config claims ({lacking[0]})", "save the model again")
    return model


def read_config(source: Path) -> Any:
    """The config of a model folder; raises `SuiteError` where transformers cannot read it."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(source, local_files_only=True)
    except Exception as error:  # the library raises whatever a wrong type of a field leads to
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SuiteError(f"config.json of {source} cannot be read ({first})", "save the model again") from None


def check_positions(source: Path, length: int) -> None:
    """Raise `SuiteError` where sequences of `length` tokens are longer than the model in `source` has positions."""
    from vtrans.anatomy import family_of

    config = read_config(source)
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
    from transformers import AutoTokenizer

    if not any((source / name).exists() for name in ("tokenizer.json", "vocab.txt")):
        raise SuiteError(f"{source} has no tokenizer", "save it there with tokenizer.save_pretrained")
    rows = read_config(source).vocab_size
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
    except Exception as error:  # the library raises OSError, ValueError, KeyError and its own
        raise SuiteError(f"{source} has a damaged tokenizer ({type(error).__name__})", "save it again") from None
    if len(tokenizer) > rows:
        raise SuiteError(
            f"the tokenizer has {len(tokenizer)} tokens, the model {rows}", "give the model its own tokenizer"
        )
    return tokenizer
