"""Latency of models as they are deployed: PyTorch, compiled, ONNX Runtime and OpenVINO, fp32 and int8, all in turns."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmark.measure.latency import batches_of, in_turn, quartiles
from vtrans.data.examples import Examples
from vtrans.deploy.export import export_onnx, to_openvino
from vtrans.deploy.quantise import calibration, quantise_onnx, quantise_openvino
from vtrans.deploy.runtime import load_deployed

EAGER, COMPILED = "PyTorch", "torch.compile"
FORMS = (EAGER, COMPILED, "ONNX Runtime", "ONNX Runtime int8", "OpenVINO", "OpenVINO int8")


def forms(model: nn.Module, folder: Path, train: Examples, compiled: bool) -> dict[str, nn.Module]:
    """A model in every form, under the names in `FORMS`.

    Args:
        model: in evaluation mode.
        folder: for its graphs.
        train: rows that ranges of int8 activations are taken on.
        compiled: whether `torch.compile` is one of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    onnx = export_onnx(model, folder / "model.onnx")
    openvino = to_openvino(onnx, folder / "openvino_model.xml")
    paths = {
        "ONNX Runtime": onnx,
        "ONNX Runtime int8": quantise_onnx(onnx, folder / "int8.onnx"),
        "OpenVINO": openvino,
        "OpenVINO int8": quantise_openvino(openvino, folder / "int8.xml", calibration(openvino, train)),
    }
    found: dict[str, nn.Module] = {EAGER: model.eval()}
    if compiled:
        found[COMPILED] = torch.compile(model.eval(), dynamic=True)  # type: ignore[assignment]
    return found | {name: load_deployed(path) for name, path in paths.items()}


def megabytes(form: str, model: nn.Module, folder: Path) -> float:
    """Size of a form's files, or of PyTorch's parameters."""
    stems = {"ONNX Runtime": "model.onnx", "ONNX Runtime int8": "int8.onnx"}
    stems |= {"OpenVINO": "openvino_model.[xb]*", "OpenVINO int8": "int8.[xb]*"}
    if form in stems:
        return round(sum(path.stat().st_size for path in folder.glob(stems[form])) / 1e6, 1)
    return round(sum(p.numel() * p.element_size() for p in model.parameters()) / 1e6, 1)


def in_turns(models: Mapping[str, nn.Module], examples: Examples, batch: int) -> dict[str, dict[str, Any]]:
    """Milliseconds of each model per batch, and how many times as fast it is as the first, batch by batch.

    Each shape of batch is run once before. Medians, between their quartiles.
    """
    batches = batches_of(examples, batch)
    for inputs in {tuple(inputs["input_ids"].shape): inputs for inputs in batches}.values():
        in_turn(_modules(models), inputs)
    times = np.array([in_turn(_modules(models), inputs) for inputs in batches])
    return {
        name: {"batch": batch, "ms": quartiles(times[:, i]), "speedup": quartiles(times[:, 0] / times[:, i])}
        for i, name in enumerate(models)
    }


def _modules(models: Mapping[str, nn.Module]) -> Sequence[nn.Module]:
    return list(models.values())
