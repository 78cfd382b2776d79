"""Save and load pruned models: safetensors for the weights, JSON for the widths that no config can hold."""

import json
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from vtrans.anatomy import Anatomy, anatomy_of
from vtrans.errors import SuiteError
from vtrans.pruning.surgery import (
    cut_attention_inputs,
    cut_embedding,
    cut_ffn_inputs,
    cut_linear,
    cut_norm,
    replace_skipped,
    retie,
    untied_output_linears,
)
from vtrans.tokens import attach, token_pruning_encoder
from vtrans.tokens.encoder import selector_of

SHAPES, WEIGHTS = "pruned.json", "model.safetensors"


def save_pruned(model: nn.Module, folder: str | Path) -> Path:
    """Write `model.safetensors`, `config.json` (of the dense model) and `pruned.json` (widths) to `folder`.

    Raises:
        SuiteError: the folder cannot be written.
    """
    folder = Path(folder)
    part = folder / f".{WEIGHTS}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Clones, because safetensors refuses tensors that share memory.
        save_file({k: v.detach().clone().contiguous() for k, v in model.state_dict().items()}, part)
        part.replace(folder / WEIGHTS)
        write_shapes(model, folder)
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SuiteError(
            f"cannot write {folder}: {why}", "free some space, or name a folder that can be written"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return folder


def write_shapes(model: nn.Module, folder: Path) -> None:
    """Write what `load_pruned` needs beside the weights: config and widths."""
    config = cast("Any", model.config)
    shapes = {"class": type(model).__name__, **widths(model), "tokens": _tokens(model)}
    (folder / "config.json").write_text(config.to_json_string(use_diff=False))
    (folder / SHAPES).write_text(json.dumps(shapes, indent=1) + "\n")


def widths(model: nn.Module) -> dict[str, Any]:
    """Units that a model has: `hidden`, and `heads` and `ffn` of each layer."""
    anatomy = anatomy_of(model)
    return {"hidden": anatomy.hidden, "heads": list(anatomy.heads), "ffn": list(anatomy.ffn)}


def load_pruned(folder: str | Path) -> nn.Module:
    """Rebuild a model that `save_pruned` wrote, bit-equal, in evaluation mode and on the CPU.

    Raises:
        SuiteError: a file is missing or damaged, or the files do not belong together.
    """
    import transformers

    folder = Path(folder)
    try:
        shapes = json.loads((folder / SHAPES).read_text())
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        weights = _weights(folder)
        with torch.device("meta"):
            model = getattr(transformers, shapes["class"])(config)
        whole = anatomy_of(model)
        resize(model, shapes)
        _attach(model, shapes.get("tokens"))
        _fill_buffers(model, config)
        model.load_state_dict(weights, assign=True)
        retie(model, whole)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SuiteError(f"{folder} holds no whole pruned model ({line})", "save it again with save_pruned") from None
    found: nn.Module = model.eval()
    return found


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder's files, of which there are several where surgery went layer by layer."""
    files = sorted(folder.glob("model*.safetensors")) or [folder / WEIGHTS]
    if "-of-" in files[0].name and len(files) != int(files[0].stem.rpartition("-of-")[2]):
        raise ValueError(f"{len(files)} of {files[0].stem.rpartition('-of-')[2].lstrip('0')} weight files")
    return {name: tensor for path in files for name, tensor in load_file(path).items()}


def _tokens(model: nn.Module) -> dict[str, Any] | None:
    encoder = token_pruning_encoder(model)
    return None if encoder is None else {"selector": encoder.selector.spec.kind, **encoder.selector.settings()}


def _attach(model: nn.Module, tokens: dict[str, Any] | None) -> None:
    if tokens is not None:
        settings = dict(tokens)
        with torch.device("meta"):
            selector = selector_of(settings.pop("selector"))(**settings)
        attach(model, selector)


def _fill_buffers(model: nn.Module, config: object) -> None:
    """Give non-persistent buffers, which no file holds, their values: those of a tiny twin of the model."""
    real = type(model)._from_config(_one_layer(config)) if _has_transient_buffers(model) else model  # type: ignore
    twins = dict(real.named_buffers())
    for name, buffer in list(model.named_buffers()):
        if buffer.is_meta:
            owner, _, leaf = name.rpartition(".")
            model.get_submodule(owner).register_buffer(leaf, twins[name].clone(), persistent=False)


def _has_transient_buffers(model: nn.Module) -> bool:
    return any(buffer.is_meta for buffer in model.buffers())


def _one_layer(config: object) -> object:
    import copy

    small = copy.deepcopy(config)
    small.num_hidden_layers, small.vocab_size = 1, 2  # type: ignore[attr-defined]
    if kinds := getattr(small, "layer_types", None):  # as many layers as show every kind of them
        small.num_hidden_layers = 1 + max(kinds.index(kind) for kind in set(kinds))  # type: ignore[attr-defined]
        small.layer_types = kinds[: small.num_hidden_layers]  # type: ignore[attr-defined]
    if getattr(small, "pad_token_id", None) is not None:
        small.pad_token_id = 0  # type: ignore[attr-defined]
    return small


def resize(model: nn.Module, shapes: dict[str, Any]) -> None:
    """Give a dense model, on any device, the widths of a pruned one; the weights are left to be loaded."""
    anatomy = anatomy_of(model)
    _check_shapes(anatomy, shapes)
    hidden = torch.arange(shapes["hidden"])
    for path in anatomy.embeddings:
        cut_embedding(model.get_submodule(path), hidden)
    for path in anatomy.norms:
        norm: Any = model.get_submodule(path)
        cut_norm(norm, hidden, torch.ones_like(norm.weight[: len(hidden)]))
    retie(model, anatomy)
    for path in anatomy.head_transforms:
        cut_linear(model.get_submodule(path), rows=hidden, columns=hidden)
    for path in untied_output_linears(anatomy):
        cut_linear(model.get_submodule(path), columns=hidden)
    for block, heads, ffn in zip(anatomy.blocks, shapes["heads"], shapes["ffn"], strict=True):
        if heads == 0:
            replace_skipped(model, block.attention_skip)
        else:
            width = heads * anatomy.head_size
            queries = torch.arange(width * block.group)
            cut_attention_inputs(model, block, queries, torch.arange(width), hidden)
            cut_linear(model.get_submodule(block.out), rows=hidden, columns=queries)
        if ffn == 0:
            replace_skipped(model, block.ffn_skip)
        else:
            units = torch.arange(ffn)
            cut_ffn_inputs(model, block, units, hidden)
            cut_linear(model.get_submodule(block.down), rows=hidden, columns=units)


def _check_shapes(anatomy: Anatomy, shapes: dict[str, Any]) -> None:
    pairs = [(anatomy.hidden, shapes["hidden"]), *zip(anatomy.heads, shapes["heads"], strict=True)]
    pairs += zip(anatomy.ffn, shapes["ffn"], strict=True)
    if any(new > old for old, new in pairs):
        raise ValueError("a width in pruned.json is larger than the dense model's")
