"""Int8 graphs: weights of Linears in eight bits; activations as they come (ONNX), or by calibration rows (OpenVINO)."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from vtrans.data.examples import Examples, unlabelled
from vtrans.deploy.export import quiet
from vtrans.deploy.runtime import load_deployed
from vtrans.deploy.signal_stack import signal_stack_kept

CALIBRATION, BATCH = 256, 8  # rows that ranges are taken on, and how many go at once


def quantise_onnx(source: Path, path: Path) -> Path:
    """Dynamic quantisation by onnxruntime: int8 weights for each output channel, activations scaled as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet():
        quantize_dynamic(str(source), str(path), weight_type=QuantType.QInt8, per_channel=True)
    return path


def quantise_openvino(source: Path, path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Static quantisation by NNCF: weights and activations in int8, the latter's ranges taken on some rows.

    Args:
        source: an OpenVINO or ONNX graph in fp32.
        path: of the result, `.xml`.
        rows: inputs of the graph as arrays, a batch each.
    """
    import nncf
    import openvino

    with quiet(), signal_stack_kept():
        graph = openvino.Core().read_model(str(source))
        small = nncf.quantize(graph, nncf.Dataset(list(rows)), model_type=nncf.ModelType.TRANSFORMER)
        openvino.save_model(small, str(path), compress_to_fp16=False)
    return path


def calibration(path: Path, examples: Examples) -> list[Mapping[str, Any]]:
    """Inputs of a graph as arrays, from the first rows of a task's training data."""
    names = load_deployed(path).inputs
    starts = range(0, min(CALIBRATION, len(examples)), BATCH)
    batches = [unlabelled(examples.batch(range(s, min(s + BATCH, len(examples))))) for s in starts]
    return [{n: b.get(n, torch.zeros_like(b["input_ids"])).numpy() for n in names} for b in batches]
