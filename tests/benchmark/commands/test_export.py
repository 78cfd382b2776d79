"""`export`: a graph that is checked and evaluated beside PyTorch; bad input in one line."""

import pytest
from command import call
from tiny import tiny_bert

from vtrans.deploy.runtime import load_deployed

pytest.importorskip("onnxruntime", reason="needs the extra `deploy`")
pytest.importorskip("openvino", reason="needs the extra `deploy`")


@pytest.fixture
def base(tiny_preset, data_dir, model_dir, tmp_path, monkeypatch, capsys):
    pruned = tmp_path / "small"
    code, _, err = call(
        *(monkeypatch, capsys, "compress", "--task", "sst2", "--preset", "tiny", "--data-dir", str(data_dir)),
        *("--model", str(model_dir), "--method", "random", "--sparsity", "0.5", "--out", str(pruned)),
    )
    assert code == 0, err
    return pruned, ["--task", "sst2", "--preset", "tiny", "--data-dir", str(data_dir)]


def test_a_pruned_model_is_exported_checked_and_evaluated(base, tmp_path, monkeypatch, capsys):
    pruned, task = base
    code, out, err = call(monkeypatch, capsys, "export", str(pruned), "--out", str(tmp_path / "a"), "--check", *task)
    assert code == 0, err
    assert "largest difference to PyTorch" in out and "PyTorch: accuracy" in out and "onnx: accuracy" in out
    lines = dict(line.split(": ", 1) for line in out.splitlines() if "(n = " in line)
    assert lines["onnx"] == lines["PyTorch"]
    assert {"model.onnx", "tokenizer.json", "config.json"} <= {path.name for path in (tmp_path / "a").iterdir()}
    assert load_deployed(tmp_path / "a").outputs == ["logits"]
    code, _, err = call(monkeypatch, capsys, "export", str(pruned), "--out", str(tmp_path / "a"))
    assert code == 2 and "holds model.onnx already" in err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("precious")
    code, _, err = call(monkeypatch, capsys, "export", str(pruned), "--out", str(tmp_path / "mine"))
    assert code == 2 and "holds config.json already" in err
    more = ["--format", "openvino", "--int8", "--check", "--out", str(tmp_path / "b")]
    code, out, err = call(monkeypatch, capsys, "export", str(pruned), *more, *task)
    assert code == 0 and "openvino int8: accuracy" in out, err
    assert {path.name for path in (tmp_path / "b").glob("openvino_model.*")} == {
        "openvino_model.xml",
        "openvino_model.bin",
    }
    code, _, err = call(monkeypatch, capsys, "export", str(pruned), "--out", str(tmp_path / "b"))
    assert code == 0 and (tmp_path / "b" / "model.onnx").exists(), err  # beside the graph of another format
    code, _, err = call(monkeypatch, capsys, "export", str(pruned), *more[:3], "--out", str(tmp_path / "c"))
    assert code == 2 and "name one with --task" in err and err.count("\n") == 1
    code, _, err = call(monkeypatch, capsys, "export", str(pruned), "--format", "tflite", "--out", str(tmp_path / "c"))
    assert code == 2 and "choose one of: onnx, openvino" in err and not (tmp_path / "c").exists()


def test_a_graph_that_is_not_the_model_is_no_result(tmp_path, monkeypatch, capsys, model_dir):
    tiny_bert().save_pretrained(model_dir)
    monkeypatch.setattr("benchmark.commands.export.TOLERANCE", -1.0)
    code, _, err = call(monkeypatch, capsys, "export", str(model_dir), "--out", str(tmp_path / "a"), "--check")
    assert code == 2 and "the graph is not the model" in err and not (tmp_path / "a").exists()
