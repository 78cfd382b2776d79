"""Save and load pruned models, in transformers' own form."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from safetensors import SafetensorError
from torch import nn

from vtrans import ranks
from vtrans.anatomy import write_widths
from vtrans.errors import SuiteError
from vtrans.saving.card import Facts, write_card
from vtrans.tokens.model import class_of

CONFIG = "config.json"


def save_pruned(model: nn.Module, folder: str | Path, facts: Facts | None = None) -> Path:
    """Write a model to `folder` as its `save_pretrained` does, with a model card; `config.json` comes last.

    Args:
        model: pruned or dense.
        folder: is made where it is missing.
        facts: for the card, what is known of the model.

    Raises:
        SuiteError: the folder cannot be written.
    """
    folder = Path(folder)
    write_widths(model)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".model-", dir=folder) as part, quiet():
            cast("Any", model).save_pretrained(part)
            write_card(model, Path(part), facts)
            for path in sorted(Path(part).iterdir(), key=lambda path: path.name == CONFIG):
                path.replace(folder / path.name)
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SuiteError(
            f"cannot write {folder}: {why}", "free some space, or name a folder that can be written"
        ) from None
    return folder


def load_pruned(folder: str | Path) -> nn.Module:
    """Rebuild a model that `save_pruned` or `save_pretrained` wrote, bit-equal, in evaluation mode and on the CPU.

    Raises:
        SuiteError: a file is missing or damaged, or the files do not belong together.
    """
    from transformers import AutoConfig

    folder = Path(folder)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        kind = class_of(config)
        with quiet():
            model, report = kind.from_pretrained(folder, config=config, local_files_only=True, output_loading_info=True)
    except Exception as error:  # the library raises OSError, ValueError, RuntimeError and safetensors' own
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SuiteError(f"{folder} holds no whole pruned model ({line})", "save it again with save_pruned") from None
    wrong = [f"{name.removesuffix('_keys')}: {sorted(map(str, found))[0]}" for name, found in report.items() if found]
    if wrong:
        raise SuiteError(f"{folder} holds no whole pruned model ({wrong[0]})", "save it again with save_pruned")
    found: nn.Module = model.eval()
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """Without the library's progress bars and warnings: what they would say is checked here."""
    from transformers.utils import logging as library

    ranks.name_accelerator()  # accelerate imports DeepSpeed, where it is installed, to save a model
    bars, level = library.is_progress_bar_enabled(), library.get_verbosity()
    library.disable_progress_bar()
    library.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        library.set_verbosity(level)
        if bars:
            library.enable_progress_bar()
