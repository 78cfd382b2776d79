"""`compress` on a user's own rows, with a model that plain transformers fine-tuned: by the command and from Python."""

import csv
import json
import signal

import pytest
import torch
from command import call
from transformers import AutoModelForSequenceClassification, AutoTokenizer, GPT2Config, GPT2ForSequenceClassification

import vtrans
from benchmark.commands.user_model import cut_at
from vtrans.errors import RunCancelled, SuiteError
from vtrans.settings import Schedules
from vtrans.tokens import token_pruning_encoder

NAMES = ("Praise", "Blame", "Neither")  # in no order that sorting would give
WORDS = {"Praise": ("good", "great"), "Blame": ("bad", "poor"), "Neither": ("film", "plot")}


def rows(start, count):
    found = []
    for i in range(start, start + count):
        name = NAMES[i % 3]
        found.append((f"the {WORDS[name][i % 2]} is a {'film' if i % 5 else 'plot'} {i}", name))
    return found


@pytest.fixture
def files(tmp_path):
    for name, content in (("train.csv", rows(0, 90)), ("test.csv", rows(90, 30))):
        with (tmp_path / name).open("w", newline="") as stream:
            csv.writer(stream).writerows([("comment", "kind"), *content])
    return tmp_path / "train.csv", tmp_path / "test.csv"


@pytest.fixture
def finetuned(model_dir, tmp_path):
    """A three-class model, trained by transformers and torch alone."""
    names = dict(enumerate(NAMES))
    model = AutoModelForSequenceClassification.from_pretrained(
        model_dir, num_labels=3, id2label=names, label2id={name: i for i, name in names.items()}
    )
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    batch = tokenizer([text for text, _ in rows(0, 90)], padding=True, return_tensors="pt")
    labels = torch.tensor([NAMES.index(name) for _, name in rows(0, 90)])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(30):
        optimizer.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
    model.save_pretrained(tmp_path / "mine")
    tokenizer.save_pretrained(tmp_path / "mine")
    return tmp_path / "mine"


def test_a_model_of_three_classes_by_the_command(tiny_preset, finetuned, files, tmp_path, monkeypatch, capsys):
    own = ["--preset", "tiny", "--text", "comment", "--label", "kind"]
    out = tmp_path / "small"
    code, text, err = call(
        *(monkeypatch, capsys, "compress", "--model", str(finetuned), "--data", str(files[0]), "--eval", str(files[1])),
        *(*own, "--method", "VTrans", "--sparsity", "0.5", "--out", str(out)),
    )
    assert code == 0, err
    assert text.startswith("estimate: about ") and "difference" in text and "times as fast as dense" in text
    report = json.loads((out / "report.json").read_text())
    assert report["report"]["dense_metrics"]["accuracy"] > 90  # the head that came with the model was kept
    assert report["metrics"].keys() == {"accuracy", "macro_f1"} and report["parameters"]["encoder"] < 8000
    assert report["report"]["intervals"]["accuracy"].keys() == {"dense", "compressed", "difference"}
    small = AutoModelForSequenceClassification.from_pretrained(out)
    assert small.config.id2label == dict(enumerate(NAMES))
    code, text, err = call(monkeypatch, capsys, "evaluate", "--model", str(out), "--data", str(files[1]), *own)
    assert code == 0 and text.split()[:2] == [
        "accuracy",
        f"{report['metrics']['accuracy']:,.4f}".rstrip("0").rstrip("."),
    ]


def test_a_model_without_a_head_and_rows_to_hold_out(tiny_preset, model_dir, files, tmp_path, monkeypatch, capsys):
    code, text, err = call(
        *(monkeypatch, capsys, "compress", "--model", str(model_dir), "--data", str(files[0]), "--preset", "tiny"),
        *("--text", "comment", "--label", "kind", "--method", "Transkimmer", "--out", str(tmp_path / "small")),
        *("--metric", "macro_f1", "--max-length", "6"),
    )
    assert code == 0, err
    assert "rows fill all 6 tokens; --max-length for longer ones" in text
    assert text.index("macro_f1") < text.index("accuracy")
    small = AutoModelForSequenceClassification.from_pretrained(tmp_path / "small")
    assert token_pruning_encoder(small) is not None and sorted(small.config.label2id) == sorted(NAMES)
    assert cut_at(tmp_path / "small", 0, 64) == 6


def test_sigterm_in_the_evaluation_ends_in_one_line(tiny_preset, finetuned, files, tmp_path, monkeypatch, capsys):
    def interrupted(*arguments):
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("the evaluation went on")

    monkeypatch.setattr("benchmark.runs.outcome.measure", interrupted)
    code, _, err = call(
        *(monkeypatch, capsys, "compress", "--model", str(finetuned), "--data", str(files[0]), "--preset", "tiny"),
        *("--text", "comment", "--label", "kind", "--method", "random", "--sparsity", "0.5"),
        *("--out", str(tmp_path / "small")),
    )
    assert code == RunCancelled.exit_code
    assert err.splitlines()[-1] == "error: interrupted; run the same command to go on"
    assert not (tmp_path / "small" / "config.json").exists()


def test_the_same_from_python(tiny_preset, finetuned, files):
    from datasets import load_dataset

    model = AutoModelForSequenceClassification.from_pretrained(finetuned)
    tokenizer = AutoTokenizer.from_pretrained(finetuned)
    data = load_dataset("csv", data_files=str(files[0]), split="train").rename_column("kind", "label")
    data = data.map(lambda row: tokenizer(row["comment"]))
    schedules: Schedules = tiny_preset.schedules("own")
    small = vtrans.compress(model, data, vtrans.VTrans, 0.5, schedules=schedules)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())
    ids = [row | {"label": NAMES.index(row["label"])} for row in data]
    same = vtrans.compress(model, ids, vtrans.VTrans, 0.5, schedules=schedules)
    assert all(torch.equal(a, b) for a, b in zip(small.parameters(), same.parameters(), strict=True))
    with pytest.raises(SuiteError, match="classes Rant; the model's are Praise, Blame, Neither; write these names"):
        vtrans.compress(model, data.map(lambda row: {"label": "Rant"}), schedules=schedules)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "no rows are named; give --task NAME, or --data FILE"),
        (("--task", "sst2", "--data", "x.csv"), "both --task and --data are given"),
        (("--task", "sst2", "--label", "y"), "are for rows of --data; leave them out with --task"),
        (("--data", "gone.csv", "--label", "kind"), "there is no gone.csv"),
    ],
)
def test_which_rows_has_to_be_said(options, message, finetuned, tmp_path, monkeypatch, capsys):
    base = [
        "compress",
        "--model",
        str(finetuned),
        "--method",
        "VTrans",
        "--sparsity",
        "0.5",
        "--out",
        str(tmp_path / "o"),
    ]
    code, _, err = call(monkeypatch, capsys, *base, *options)
    assert code == 2 and message in err and err.count("\n") == 1


def test_a_decoder_with_a_classifier_keeps_it(tiny_preset, model_dir, files, tmp_path, monkeypatch, capsys):
    tokenizer, mine = AutoTokenizer.from_pretrained(model_dir), tmp_path / "a decoder"
    names = dict(enumerate(NAMES))
    shape = {"n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": len(tokenizer)}
    config = GPT2Config(**shape, pad_token_id=tokenizer.pad_token_id, id2label=names, attn_implementation="eager")
    GPT2ForSequenceClassification(config).save_pretrained(mine)
    tokenizer.save_pretrained(mine)
    command = ["compress", "--model", str(mine), "--data", str(files[0]), "--eval", str(files[1]), "--preset", "tiny"]
    out = tmp_path / "a smaller one"
    command += ["--text", "comment", "--method", "VTrans", "--sparsity", "0.4", "--out", str(out)]
    code, _, err = call(monkeypatch, capsys, *command)
    assert code == 2 and "name it with --label" in err  # its head is not thrown away for one of text
    config.pad_token_id, config.architectures = None, ["GPT2ForSequenceClassification"]
    config.save_pretrained(mine)
    code, _, err = call(monkeypatch, capsys, *command, "--label", "kind")
    assert code == 2 and "the model has no pad token" in err
    config.pad_token_id, config.architectures = tokenizer.pad_token_id, ["GPT2ForSequenceClassification"]
    config.save_pretrained(mine)
    token_method = [*command, "--label", "kind"]
    token_method[token_method.index("VTrans")] = "VTrans+Transkimmer"
    code, _, err = call(monkeypatch, capsys, *token_method)
    assert code == 2 and "is a decoder: a token that is dropped is missing" in err and not (out / "work").exists()
    code, text, err = call(monkeypatch, capsys, *command, "--label", "kind")
    assert code == 0, err
    assert f"next: vtrans-bench export '{out}' --out" in text
    small = AutoModelForSequenceClassification.from_pretrained(out)
    assert small.config.architectures == ["GPT2ForSequenceClassification"] and small.config.id2label == names
    assert "On test.csv, 30 validation rows:" in (out / "README.md").read_text()


def test_a_tokenizer_without_a_pad_token_is_named(tiny_preset, finetuned, files, tmp_path, monkeypatch, capsys):
    tokenizer = AutoTokenizer.from_pretrained(finetuned)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(finetuned)
    command = ["compress", "--model", str(finetuned), "--data", str(files[0]), "--text", "comment", "--label", "kind"]
    command += ["--preset", "tiny", "--method", "magnitude", "--sparsity", "0.4", "--out", str(tmp_path / "out")]
    code, _, err = call(monkeypatch, capsys, *command)
    assert code == 2 and "the model's tokenizer has no pad token; set its `pad_token`" in err, err
