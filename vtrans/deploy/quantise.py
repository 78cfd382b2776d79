"""Int8 graphs: weights of Linears in eight bits; activations as they come (ONNX), or by calibration rows (OpenVINO)."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vtrans.deploy.export import quiet


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

    with quiet():
        graph = openvino.Core().read_model(str(source))
        small = nncf.quantize(graph, nncf.Dataset(list(rows)), model_type=nncf.ModelType.TRANSFORMER)
        openvino.save_model(small, str(path), compress_to_fp16=False)
    return path
