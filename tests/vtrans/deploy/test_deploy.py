"""Exported graphs give what PyTorch gives, at any batch and length, tokens dropped or not, int8 nearly."""

import gc
import signal

import pytest
import torch
from tiny import DECODERS, FAMILIES, inputs, random_decision

from vtrans.anatomy import anatomy_of
from vtrans.deploy.export import check_format, export_onnx, exportable, to_openvino
from vtrans.deploy.quantise import quantise_onnx, quantise_openvino
from vtrans.deploy.runtime import load_deployed
from vtrans.errors import SuiteError
from vtrans.pruning.surgery import materialise
from vtrans.tokens import Predictor, Retention, Threshold, attach

SHAPES = ((3, 9), (1, 5), (7, 12), (2, 30))
pytest.importorskip("onnxruntime", reason="needs the extra `deploy`")
pytest.importorskip("openvino", reason="needs the extra `deploy`")


def model_of(kind):
    model = (DECODERS["llama"] if kind == "decoder" else FAMILIES["bert"])()
    if kind != "token":
        model = materialise(model, random_decision(model, 3, 0.5))
    if kind in ("token", "joint"):
        width = anatomy_of(model).hidden
        attach(model, Predictor(width, [0, 2]) if kind == "joint" else Retention([7, 4, 2]))
    return model.eval()


def gap(graph, model, shape):
    x = inputs(*shape)
    with torch.no_grad():
        return (graph(**x).logits - model(**x).logits).abs().max().item()


@pytest.mark.parametrize("kind", ["static", "token", "joint", "decoder"])
def test_a_graph_gives_what_the_model_gives(kind, tmp_path):
    model = model_of(kind)
    source = export_onnx(model, tmp_path / "model.onnx")
    graphs = [load_deployed(source), load_deployed(to_openvino(source, tmp_path / "openvino_model.xml"))]
    for shape in SHAPES:
        assert all(gap(graph, model, shape) < 1e-4 for graph in graphs), shape
    small = load_deployed(quantise_onnx(source, tmp_path / "int8.onnx"))
    with torch.no_grad():
        spread = model(**inputs()).logits.std().item()
    assert 0 < gap(small, model, SHAPES[0]) < spread
    assert load_deployed(tmp_path).inputs == graphs[0].inputs  # a folder is as good as its file


def test_the_form_that_is_exported_drops_as_the_model_does():
    for selector in (Threshold([0.08] * 3), Retention([7, 4, 2])):
        model = FAMILIES["roberta"]()
        attach(model, selector)
        for shape in SHAPES:
            with torch.no_grad():
                got, want = (each(**inputs(*shape)).logits for each in (exportable(model), model.eval()))
            torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


def test_openvino_is_quantised_on_rows(tmp_path):
    pytest.importorskip("nncf", reason="needs the extra `deploy`")
    model = model_of("static")
    graph = to_openvino(export_onnx(model, tmp_path / "m.onnx"), tmp_path / "m.xml")
    rows = [inputs(4, 9, seed=seed) for seed in range(4)]
    rows = [{n: x.numpy() for n, x in (r | {"token_type_ids": 0 * r["input_ids"]}).items()} for r in rows]
    names = load_deployed(graph).inputs
    small = load_deployed(quantise_openvino(graph, tmp_path / "int8.xml", [{n: r[n] for n in names} for r in rows]))
    with torch.no_grad():
        assert 0 < gap(small, model, (3, 9)) < model(**inputs()).logits.std().item()


def test_a_signal_arrives_after_graphs_are_gone(tmp_path):
    path = export_onnx(model_of("static"), tmp_path / "m.onnx")
    graph = to_openvino(path, tmp_path / "m.xml")
    first, second, got = load_deployed(graph), load_deployed(graph), []
    before = signal.signal(signal.SIGINT, lambda *_: got.append(True))
    try:
        del first
        gc.collect()
        del second
        gc.collect()
        signal.raise_signal(signal.SIGINT)  # a stack that is gone would end the process here
    finally:
        signal.signal(signal.SIGINT, before)
    assert got


def test_what_cannot_be_exported_is_named(tmp_path, monkeypatch):
    model = FAMILIES["bert"]()
    attach(model, Predictor(anatomy_of(model).hidden, [0], stochastic=True))
    with pytest.raises(SuiteError, match="samples which tokens to drop"):
        export_onnx(model, tmp_path / "m.onnx")
    with pytest.raises(SuiteError, match="choose one of: onnx, openvino"):
        check_format("tflite")
    with pytest.raises(SuiteError, match="opset 11 is too old; give one from 18 up"):
        check_format("onnx", opset=11)
    monkeypatch.setattr("vtrans.deploy.export.find_spec", lambda name: None if name == "openvino" else object())
    with pytest.raises(
        SuiteError, match=r'openvino needs openvino; run `pip install -c constraints.txt -e "\.\[deploy\]"`'
    ):
        check_format("openvino")


def test_a_missing_and_a_damaged_graph_are_named(tmp_path):
    with pytest.raises(SuiteError, match="has no exported graph"):
        load_deployed(tmp_path)
    for name in ("model.onnx", "model.xml"):
        (tmp_path / name).write_text("no graph")
        with pytest.raises(SuiteError, match="cannot be loaded"):
            load_deployed(tmp_path / name)
