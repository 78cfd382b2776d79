"""What stages do in a model's files, where the model lies in shards and no process holds it whole."""

from pathlib import Path
from typing import TYPE_CHECKING

from vtrans import ranks
from vtrans.errors import SuiteError
from vtrans.methods.base import CompressionState

if TYPE_CHECKING:
    from torch import nn

    from vtrans.objectives.adapters import LoraAdapters

MASKS = "masks.safetensors"
PRUNED, MERGED = "pruned", "merged"  # folders beside a run's checkpoints


def cut(state: CompressionState) -> "nn.Module":
    """Cut the files of the dense model to the decision, layer by layer, and load what is left."""
    from vtrans.saving.layerwise import materialise_files, save_decision

    folder, source = place(state, PRUNED), state.teacher.folder
    assert source is not None and state.decision is not None, "cutting follows a decision over a model in files"
    decision = state.decision

    def write() -> None:
        """As one process."""
        folder.mkdir(parents=True, exist_ok=True)
        save_decision(decision, folder / MASKS)
        materialise_files(source, decision, folder)

    ranks.on_first_rank(write)
    return _loaded(state, folder)


def merge(state: CompressionState, adapters: "LoraAdapters") -> "nn.Module":
    """Add adapters to the files of the smaller model, and load the result."""
    from vtrans.objectives.adapters import merge_files

    before, after = place(state, PRUNED), place(state, MERGED)

    def write() -> None:
        """As one process."""
        merge_files(before, adapters, state.model, after)
        (after / MASKS).write_bytes((before / MASKS).read_bytes())

    ranks.on_first_rank(write)
    return _loaded(state, after)


def place(state: CompressionState, name: str) -> Path:
    """A folder beside the checkpoints.

    Raises:
        SuiteError: the run keeps no files.
    """
    if not state.run_context.folder:
        raise SuiteError("a model in shards is cut in its files", "give the run a folder")
    return state.run_context.folder / name


def _loaded(state: CompressionState, folder: Path) -> "nn.Module":
    from vtrans.saving.pruned import load_pruned

    device = state.run_context.engine.device(state.model)
    state.release_models()
    return load_pruned(folder).to(device)
