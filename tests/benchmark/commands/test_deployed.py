"""`deployed`: every form of every model in a record, and a table that says what the record says."""

import json
from dataclasses import replace

import pytest
from command import call
from tiny import random_decision
from transformers import BertForSequenceClassification

from benchmark.commands.deployed import DeployedRequest, shared_length, table
from benchmark.tasks.registry import get_task
from vtrans.errors import SuiteError
from vtrans.pruning.surgery import materialise
from vtrans.saving.pruned import save_pruned

for package in ("onnxruntime", "openvino", "nncf"):
    pytest.importorskip(package, reason="needs the extra `deploy`")


def test_all_forms_are_timed_and_evaluated(tiny_preset, data_dir, model_dir, tmp_path, monkeypatch, capsys):
    pruned = tmp_path / "pruned"
    model = BertForSequenceClassification.from_pretrained(model_dir, id2label={0: "negative", 1: "positive"})
    model.save_pretrained(model_dir)
    save_pruned(materialise(model, random_decision(model, 1, 0.5)), pruned)
    for path in model_dir.glob("token*"):
        (pruned / path.name).write_bytes(path.read_bytes())
    base = ["--task", "sst2", "--preset", "tiny", "--data-dir", str(data_dir), "--no-compile"]
    out = tmp_path / "out" / "sst2.v1"  # a version is no suffix
    code, text, err = call(monkeypatch, capsys, "deployed", str(model_dir), str(pruned), *base, "--out", str(out))
    assert code == 0, err
    found = json.loads(out.with_name("sst2.v1.json").read_text())
    rows = {(row["model"], row["form"]): row for row in found["rows"]}
    assert len(rows) == 10 and found["n"] == 20
    for name in (model_dir.name, "pruned"):
        exact = [rows[name, form]["metrics"] for form in ("PyTorch", "ONNX Runtime", "OpenVINO")]
        assert exact[0] == exact[1] == exact[2]
    assert rows[model_dir.name, "PyTorch"]["latency"][0]["speedup"] == [1, 1, 1]
    assert out.with_name("sst2.v1.md").read_text() == table(found)
    assert text.count("| pruned ") == 5 and "n = 20" in text
    code, _, err = call(monkeypatch, capsys, "deployed", str(pruned), str(pruned), *base, "--out", str(out))
    assert code == 2 and "two of the models are called pruned" in err
    (tmp_path / "taken.json").mkdir()
    code, _, err = call(monkeypatch, capsys, "deployed", str(pruned), *base, "--out", str(tmp_path / "taken"))
    assert code == 2 and "taken.json is a folder" in err


def test_models_are_timed_at_the_length_that_they_were_compressed_at(tmp_path):
    folders = [tmp_path / name for name in ("dense", "one", "other")]
    for folder, length in zip(folders, (None, 40, 80), strict=True):
        folder.mkdir()
        if length:
            (folder / "report.json").write_text(json.dumps({"report": {"max_length": length}}))
    asked = DeployedRequest((), get_task("rotten_tomatoes"), tmp_path / "out")
    assert shared_length(asked, folders[:1]) == 64  # the preset's
    assert shared_length(asked, folders[:2]) == 40
    assert shared_length(replace(asked, length=16), folders) == 16
    with pytest.raises(SuiteError, match="cut at 40 and 80 tokens"):
        shared_length(asked, folders)
