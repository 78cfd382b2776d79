"""Export a model as an ONNX or OpenVINO graph with any batch and length; token dropping is in the graph."""

import copy
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from vtrans.anatomy import anatomy_of, family_of
from vtrans.errors import SuiteError, extra
from vtrans.tokens import token_pruning_encoder
from vtrans.tokens.exported import ExportedEncoder

Format = Literal["onnx", "openvino"]
FILES = {"onnx": "model.onnx", "openvino": "openvino_model.xml"}
PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("onnx", "onnxscript", "openvino")}
OPSET, OLDEST = 20, 18  # of what is written by default, and the least that the exporter writes


def check_format(format_: str, int8: bool = False, opset: int = OPSET) -> None:
    """Raise `SuiteError` for an unknown format, an opset that is too old, or a package that is missing."""
    if format_ not in FILES:
        raise SuiteError(f"unknown format {format_!r}", f"choose one of: {', '.join(FILES)}")
    if opset < OLDEST:
        raise SuiteError(f"opset {opset} is too old", f"give one from {OLDEST} up")
    needed = (*PACKAGES[format_], *(("nncf",) if int8 and format_ == "openvino" else ()))
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise SuiteError(f"{format_} needs {', '.join(missing)}", extra("deploy"))


def export_onnx(model: nn.Module, path: Path, opset: int = OPSET) -> Path:
    """Write a model's graph: inputs `(batch, length)`, both free; outputs its logits, or its last states.

    Sequences are padded on the right. A decoder's graph has no cache: it gives the logits of all positions.

    Args:
        model: dense, pruned or dropping tokens; it is left as it is.
        path: of the file.
        opset: version of ONNX's operators.

    Raises:
        SuiteError: a package is missing, or the exporter cannot write the model.
    """
    check_format("onnx", opset=opset)
    graph = _Graph(exportable(model))
    names, free = graph.names, torch.export.Dim.DYNAMIC
    example = tuple(_example(model)[name] for name in names)
    try:
        with quiet(), torch.no_grad():
            torch.onnx.export(
                graph.eval(),
                example,
                str(path),
                input_names=list(names),
                output_names=list(graph.outputs),
                dynamic_shapes={name: {0: free, 1: free} for name in names},
                opset_version=opset,
                dynamo=True,
                external_data=False,
            )
    except Exception as error:  # the exporter raises its own kinds
        causes = [line for line in str(error).splitlines() if line.startswith("<class")]
        line = causes[0] if causes else f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        name = type(model).__name__
        raise SuiteError(f"{name} cannot be exported ({line})", "export a model of another kind") from None
    return path


def exportable(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode, its token dropping, if any, in the form that can be exported.

    Raises:
        SuiteError: the selector samples which tokens to drop.
    """
    found = copy.deepcopy(model).float().cpu().eval()
    encoder = token_pruning_encoder(found)
    if encoder is not None:
        if getattr(encoder.selector, "stochastic", False):
            raise SuiteError("the model samples which tokens to drop", "export one whose selector is not stochastic")
        found.set_submodule(anatomy_of(found).encoder, ExportedEncoder(encoder))
    return found


def to_openvino(source: Path, path: Path) -> Path:
    """Convert an ONNX graph to OpenVINO's own form, weights in fp32."""
    import openvino

    openvino.save_model(openvino.convert_model(str(source)), str(path), compress_to_fp16=False)
    return path


class _Graph(nn.Module):
    """A model as a function of positional inputs to a tuple of tensors.

    Attributes:
        names: of its inputs, in order.
        outputs: names of its outputs.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        types = family_of(model.config).token_types
        self.names = ("input_ids", "attention_mask", *(("token_type_ids",) if types else ()))
        kind = type(model).__name__
        head = ("start_logits", "end_logits") if "QuestionAnswering" in kind else ("logits",)
        self.outputs = head if any(part in kind for part in ("For", "LMHead")) else ("last_hidden_state",)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Any:
        """The outputs, in their order."""
        more = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        if anatomy_of(self.model).causal:
            more["use_cache"] = cast("Any", False)
        found = self.model(input_ids=input_ids, attention_mask=attention_mask, **more)
        return tuple(getattr(found, name) for name in self.outputs)


def _example(model: nn.Module) -> dict[str, Tensor]:
    """Two sequences, the second one padded, of ids that every vocabulary has."""
    mask = torch.ones(2, 12, dtype=torch.long)
    mask[1, 7:] = 0
    low = getattr(model.config, "pad_token_id", None) or 0
    ids = torch.full((2, 12), low + 1 if low + 1 < cast("Any", model.config).vocab_size else 1)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' progress and warnings."""
    names = ("torch.onnx", "torch.onnx._internal.exporter._registration", "onnxscript", "onnx_ir", "nncf", "root")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
