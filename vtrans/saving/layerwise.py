"""Surgery on a model's files, layer by layer: of the dense model and the small one, one layer is held at a time."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vtrans.anatomy import Anatomy, anatomy_of, write_widths
from vtrans.errors import SuiteError
from vtrans.pruning.masks import Masks
from vtrans.pruning.surgery import cut_block, cut_stem


class Tensors:
    """The tensors of a folder's safetensors files, whether one or several, read one by one.

    A file is mapped into memory while it is open, and what was read of it counts as memory of the process: so each is
    opened for one tensor and closed again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        files = sorted(folder.glob("model*.safetensors"))
        if not files:
            raise SuiteError(f"{folder} has no safetensors weights", "save the model with save_pretrained")
        self.where = dict[str, Path]()
        for path in files:
            with self._opened(path) as stream:
                self.where |= dict.fromkeys(stream.keys(), path)

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Any]:
        try:
            with safe_open(path, "pt") as stream:
                yield stream
        except (OSError, SafetensorError) as error:
            raise SuiteError(f"weights in {self.folder} are damaged ({error})", "fetch or save them again") from None

    def name(self, name: str, prefix: str) -> str:
        """What the files call a tensor: those of a model without its head lack the prefix, as the hub's GPT-2.

        Raises:
            SuiteError: they do not have it.
        """
        for known in (name, name.removeprefix(f"{prefix}.")):
            if known in self.where:
                return known
        raise SuiteError(f"{self.folder} has no tensor {name}", "fetch or save all its files again")

    def read(self, name: str, prefix: str) -> Tensor:
        """The tensor."""
        known = self.name(name, prefix)
        with self._opened(self.where[known]) as stream:
            found: Tensor = stream.get_tensor(known).clone()
        return found


def check_files(source: Path) -> None:
    """Raise `SuiteError` where the files of a dense model lack a tensor that `materialise_files` needs."""
    model = blank(source)
    tensors = Tensors(source)
    for _, names in _parts(model, anatomy_of(model)):
        for name in names:
            tensors.name(name, model.base_model_prefix)


@torch.no_grad()
def materialise_files(source: Path, masks: Masks, out: Path) -> Path:
    """Write the smaller model of a decision to `out`, as `materialise` and `save_pruned` would.

    Args:
        source: folder of a dense model that transformers saved, in one file or several.
        masks: a hard decision over its units.
        out: folder for the smaller one, in one file for what is outside the layers and one per layer.

    Raises:
        SuiteError: a file or tensor is missing or damaged.
    """
    model = blank(source)
    anatomy, masks = anatomy_of(model), masks.to(torch.device("cpu"))
    out.mkdir(parents=True, exist_ok=True)
    parts = list(_parts(model, anatomy))
    places, tensors = dict[str, str](), Tensors(source)
    for number, (index, names) in enumerate(parts):
        model.load_state_dict(
            {name: tensors.read(name, model.base_model_prefix) for name in names}, strict=False, assign=True
        )
        if index < 0:
            model.tie_weights()
            cut_stem(model, anatomy, masks)
        else:
            cut_block(model, anatomy, index, masks)
        path = out / f"model-{number + 1:05}-of-{len(parts):05}.safetensors"
        places |= dict.fromkeys(_write_part(model, path), path.name)
    _write_facts(model, places, out)
    return out


def blank(source: Path) -> Any:
    """The model of a folder's config, on the meta device: shapes without weights."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(source, local_files_only=True)
    with torch.device("meta"):
        return getattr(transformers, config.architectures[0])(config)


def _parts(model: nn.Module, anatomy: Anatomy) -> Iterator[tuple[int, list[str]]]:
    """Names of the tensors outside the layers, under -1, and of each layer; what is tied is in the files once."""
    every, own = (dict(model.named_parameters(remove_duplicate=once)) for once in (False, True))
    names = [name for name in model.state_dict() if name in own or name not in every]
    heads = [f"{block.path}." for block in anatomy.blocks]
    yield -1, [name for name in names if not name.startswith(tuple(heads))]
    for index, head in enumerate(heads):
        yield index, [name for name in names if name.startswith(head)]


def _write_facts(model: Any, places: Mapping[str, str], out: Path) -> None:
    """Write which file holds each tensor, and the configs, that of the model last."""
    size = sum(path.stat().st_size for path in out.glob("model-*.safetensors"))
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    if model.can_generate():
        model.generation_config.save_pretrained(out)
    write_widths(model)
    model.config.save_pretrained(out)


def _write_part(model: nn.Module, path: Path) -> list[str]:
    """Write what is real and let it go; the names that were written."""
    real = {name: tensor for name, tensor in model.state_dict().items() if not tensor.is_meta}
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in real.items()}, path)
    for name, parameter in list(model.named_parameters(remove_duplicate=False)):
        if not parameter.is_meta:
            owner, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(owner), leaf, nn.Parameter(parameter.to("meta"), requires_grad=False))
    return list(real)


def save_decision(masks: Masks, path: Path) -> None:
    """Write a decision's masks to a safetensors file."""
    save_file({name: tensor.detach().float().cpu().contiguous() for name, tensor in _named(masks).items()}, path)


def _named(masks: Masks) -> dict[str, Tensor]:
    layers = {f"{site}.{i}": z for site in ("heads", "ffn") for i, z in enumerate(getattr(masks, site))}
    stacked = {site: torch.stack(list(getattr(masks, site))) for site in ("attention_layer", "ffn_layer")}
    return {"hidden": masks.hidden, **layers, **stacked}


def load_decision(path: Path) -> Masks:
    """Read what `save_decision` wrote."""
    with safe_open(path, "pt") as stream:
        found = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    depth = len(found["attention_layer"])
    heads, ffn = ([found[f"{site}.{i}"] for i in range(depth)] for site in ("heads", "ffn"))
    attention, ffn_layer = (list(found[site].unbind()) for site in ("attention_layer", "ffn_layer"))
    return Masks.of(found["hidden"], heads, ffn, attention, ffn_layer)
