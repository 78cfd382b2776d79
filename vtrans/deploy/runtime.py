"""Exported graphs as PyTorch modules, so that whatever evaluates and times a model does the same with them."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vtrans.deploy.export import FILES
from vtrans.deploy.signal_stack import signal_stack_kept
from vtrans.errors import SuiteError

Run = Callable[[dict[str, np.ndarray]], list[np.ndarray]]


class Deployed(nn.Module):
    """A graph and what runs it, on the CPU.

    Args:
        run: from inputs by name to outputs, in order.
        inputs, outputs: their names.
    """

    def __init__(self, run: Run, inputs: list[str], outputs: list[str]) -> None:
        super().__init__()
        self.run, self.inputs, self.outputs = run, inputs, outputs
        self.place = nn.Parameter(torch.zeros(()), requires_grad=False)  # tells the device, as that of a model does

    def forward(self, **inputs: Tensor) -> Any:
        """The outputs as attributes, as of a model's output.

        Inputs that the graph does not have are left out, those that are missing have the values that models give them.
        """
        ids = inputs["input_ids"]
        whole = {"attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)} | inputs
        found = self.run({name: whole[name].numpy() for name in self.inputs})
        return SimpleNamespace(**{n: torch.from_numpy(a) for n, a in zip(self.outputs, found, strict=True)})


def load_deployed(path: str | Path, threads: int = 0) -> Deployed:
    """The graph in a file, or in a folder that `vtrans-bench export` wrote.

    Args:
        path: `.onnx` for onnxruntime, `.xml` for OpenVINO, or a folder with one of them.
        threads: of the runtime; 0 for as many as PyTorch has.

    Raises:
        SuiteError: there is no graph, or it is damaged.
    """
    path = Path(path)
    files = [path / name for name in FILES.values() if (path / name).exists()] if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise SuiteError(f"{path} has no exported graph", "make one with vtrans-bench export")
    load = _openvino if files[0].suffix == ".xml" else _onnx
    try:
        return load(files[0], threads or torch.get_num_threads())
    except Exception as error:  # both raise their own kinds
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SuiteError(f"{files[0]} cannot be loaded ({line})", "export it again") from None


def _onnx(path: Path, threads: int) -> Deployed:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs, outputs = ([each.name for each in part] for part in (session.get_inputs(), session.get_outputs()))
    return Deployed(lambda values: session.run(None, values), inputs, outputs)


def _openvino(path: Path, threads: int) -> Deployed:
    import openvino

    # Without the hint a CPU with bf16 units computes an fp32 graph in bf16.
    hints = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    with signal_stack_kept():
        model = openvino.Core().compile_model(str(path), "CPU", hints)
    request = model.create_infer_request()
    inputs, outputs = ([each.any_name for each in part] for part in (model.inputs, model.outputs))

    def run(values: dict[str, np.ndarray]) -> list[np.ndarray]:
        """One request, its outputs copied: the next one writes over them."""
        request.infer(values)
        return [request.get_tensor(each).data.copy() for each in model.outputs]

    return Deployed(run, inputs, outputs)
