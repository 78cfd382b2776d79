"""`evaluate`: the metrics of a folder's model are those that its run recorded; strides and bad input."""

import json
import math
from pathlib import Path

import pytest
import torch
from command import call
from tiny import tiny_llama

from benchmark.commands.evaluate import EvaluateRequest, evaluate_model
from benchmark.commands.user_model import cut_at
from benchmark.models.pretrain import train_tokenizer
from benchmark.tasks.language_modeling.perplexity import metrics_of, window_nll
from benchmark.tasks.registry import get_task
from vtrans.data.windows import Windows
from vtrans.errors import SuiteError

TEXT = "the film was good and the plot was long .\n"


@pytest.fixture
def language(tmp_path):
    """A tiny LLaMA with its tokenizer, and a text."""
    folder, data = tmp_path / "model", tmp_path / "data" / "wikitext-2"
    data.mkdir(parents=True)
    for split in ("train", "test"):
        (data / f"{split}.txt").write_text(TEXT * 30)
    train_tokenizer([TEXT] * 4, 280).save_pretrained(folder)
    tiny_llama(vocab_size=280).save_pretrained(folder)
    return {"model": str(folder), "task": get_task("wikitext2"), "data_dir": tmp_path / "data", "length": 24}


def test_a_compressed_model_has_the_metrics_of_its_report(
    tiny_preset, data_dir, model_dir, tmp_path, monkeypatch, capsys
):
    base = ["--task", "sst2", "--preset", "tiny", "--data-dir", str(data_dir)]
    pruning = ["--model", str(model_dir), "--method", "random", "--sparsity", "0.5", "--out", str(tmp_path / "small")]
    assert call(monkeypatch, capsys, "compress", *base, *pruning)[0] == 0
    code, out, err = call(monkeypatch, capsys, "evaluate", *base, "--model", str(tmp_path / "small"))
    assert code == 0, err
    found = dict(line.split("  ", 1) for line in out.strip().splitlines())
    report = json.loads((tmp_path / "small" / "report.json").read_text())
    assert float(found["accuracy"]) == pytest.approx(report["metrics"]["accuracy"], abs=1e-3)
    assert float(found["n (rows)"]) == 20
    other = ["--model", str(tmp_path / "small"), "--data-dir", str(data_dir)]
    code, _, err = call(monkeypatch, capsys, "evaluate", "--task", "mrpc", *other)
    assert code == 2 and "the model's labels are negative, positive" in err
    code, _, err = call(monkeypatch, capsys, "evaluate", *base, "--model", str(tmp_path / "small"), "--max-length", "4")
    assert code == 2 and "give --max-length 5 at least" in err
    code, _, err = call(monkeypatch, capsys, "evaluate", *base, "--model", str(model_dir))
    assert code == 2 and "has no head for sst2; `compress` fine-tunes it" in err


def test_weights_that_are_no_numbers_have_no_score(tiny_preset, data_dir, model_dir):
    from transformers import BertForSequenceClassification

    task = get_task("sst2")
    model = BertForSequenceClassification.from_pretrained(model_dir, id2label=dict(enumerate(task.labels)))
    model.classifier.bias.data[:] = float("nan")
    model.save_pretrained(model_dir)
    with pytest.raises(SuiteError, match="outputs of the model are not finite"):
        evaluate_model(EvaluateRequest(str(model_dir), task, preset="tiny", data_dir=data_dir))


def test_texts_are_cut_as_they_were_for_the_model(tmp_path):
    assert cut_at(tmp_path, 0, 64) == 64
    for content, found in (
        ({"report": {"max_length": 256}}, 256),
        ({"report": {}}, 64),
        ({"report": {"max_length": True}}, 64),
        ([], 64),
        ({"report": 1}, 64),
    ):
        (tmp_path / "report.json").write_text(json.dumps(content))
        assert cut_at(tmp_path, 0, 64) == found and cut_at(tmp_path, 32, 64) == 32


def test_zero_shot_tasks_have_their_folder_beside_rows_of_the_users_own(language, tmp_path):
    from benchmark.tasks.own import OwnData, own_task

    (tmp_path / "data" / "zero_shot").mkdir()
    question = {"context": "to eat", "choices": ["cook", "sleep"], "label": 0}
    (tmp_path / "data" / "zero_shot" / "piqa.jsonl").write_text(json.dumps(question) + "\n")
    (tmp_path / "mine.txt").write_text(TEXT * 30)
    own = own_task(OwnData(tmp_path / "mine.txt"), Path(language["model"]), whole=True)
    with pytest.raises(SuiteError, match="leave out --data-dir"):
        evaluate_model(EvaluateRequest(**(language | {"task": own})))
    found = evaluate_model(EvaluateRequest(**(language | {"task": own, "zero_shot": ("piqa",)})))
    assert any(name.startswith("piqa") for name in found) and "perplexity" in found


def test_a_stride_gives_each_token_more_context(language):
    plain, strided = (evaluate_model(EvaluateRequest(**language, stride=stride)) for stride in (0, 1))
    assert strided["n (tokens)"] > plain["n (tokens)"]
    assert math.isfinite(strided["perplexity"]) and strided["perplexity"] != plain["perplexity"]
    assert evaluate_model(EvaluateRequest(**language, stride=24)) == plain


def test_strided_windows_are_those_of_the_text():
    ids = torch.randint(5, 60, (100,), generator=torch.Generator().manual_seed(0)).tolist()
    again = Windows.of(ids, 16, pad=0, text_bytes=300).strided(5)
    direct = Windows.of(ids, 16, pad=0, stride=5, text_bytes=300)
    model = tiny_llama()
    assert again.ids == direct.ids and again.context == direct.context
    assert metrics_of(window_nll(model, again), again) == metrics_of(window_nll(model, direct), direct)


def test_bf16_is_near_fp32(language):
    exact, rough = (evaluate_model(EvaluateRequest(**language, precision=p))["perplexity"] for p in ("fp32", "bf16"))
    assert rough != exact and rough == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"precision": "int8"}, "precision 'int8' is not known; give auto, bf16, fp16, fp32"),
        ({"stride": 25}, "stride 25 is not from 1 to the window of 24 tokens"),
        ({"length": 1}, "sequences of 1 tokens hold no text; give --max-length 2 at least"),
        ({"length": 64}, "longer than the 48 positions"),
        ({"zero_shot_rows": 5}, "--zero-shot-rows is for zero-shot tasks"),
        ({"zero_shot": ("piqa",)}, "no zero_shot/piqa.jsonl"),
        ({"task": get_task("sst2")}, "no head for sst2"),
        ({"model": "nowhere/at-all"}, "is no folder, and cannot be fetched: the Hugging Face hub is out of reach"),
    ],
)
def test_bad_requests_are_named(language, change, message):
    with pytest.raises(SuiteError, match=message):
        evaluate_model(EvaluateRequest(**(language | change)))
