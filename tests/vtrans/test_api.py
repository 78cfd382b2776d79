"""The library: ten lines from a model and a data set to a smaller model, and clear errors."""

import runpy
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from tiny import FAMILIES, inputs, tiny_bert, tiny_examples, tiny_llama
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2ForSequenceClassification

import baselines
import vtrans
from vtrans import (
    FasterVTrans,
    FastVTrans,
    VTrans,
    VTransFamily,
    apply_masks,
    compress,
    compress_family,
    load_pruned,
    save_pruned,
)
from vtrans.api import examples_of
from vtrans.errors import SuiteError
from vtrans.pruning.masks import Masks
from vtrans.pruning.size import Size
from vtrans.run_folder import digest_of
from vtrans.settings import Budget, Schedule, Schedules

EXAMPLE = Path(__file__).parents[2] / "examples" / "compress_on_a_dataset.py"
SHORT = Schedule(steps=6, batch=8, lr=1e-3, precision="fp32")
SHORTEST = Schedules(*[SHORT] * 5, tokens=SHORT, token_search=SHORT)


def made(rows: int = 40, **more) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    ids = [[2, 5 + i % 2, *torch.randint(10, 60, (4 + i % 5,), generator=generator).tolist()] for i in range(rows)]
    return Dataset.from_dict({"input_ids": ids, "label": [i % 2 for i in range(rows)]} | more)


def test_the_example_has_ten_lines_and_runs(tmp_path, model_dir, monkeypatch):
    statements = [line for line in EXAMPLE.read_text().split('"""')[2].splitlines() if line.strip()]
    assert len(statements) <= 12  # imports of sys and of arguments counted in
    config = BertConfig.from_pretrained(model_dir, num_labels=2)
    BertForSequenceClassification(config).save_pretrained(model_dir)
    (tmp_path / "rows.csv").write_text("text,label\n" + "a good film,1\nthe plot is dull,0\n" * 20)
    monkeypatch.setattr("sys.argv", ["example", str(model_dir), str(tmp_path / "rows.csv"), str(tmp_path / "out")])
    found = runpy.run_path(str(EXAMPLE))
    small = load_pruned(tmp_path / "out")
    dense, size = Size.of(found["model"]), Size.of(small)
    kept = float(size.parameters(size.dense)) / float(dense.parameters(dense.dense))
    assert kept == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize("method", [VTrans, FastVTrans, FasterVTrans, baselines.CoFi, baselines.Random])
def test_methods_are_built_with_the_schedules_and_the_size(method):
    small = compress(tiny_bert(), made(), method, sparsity=0.5, schedules=SHORTEST)
    dense, size = Size.of(tiny_bert()), Size.of(small)
    assert float(size.parameters(size.dense)) / float(dense.parameters(dense.dense)) == pytest.approx(0.5, abs=0.01)


def test_a_method_of_one_s_own_hyper_parameters_and_a_language_model():
    rows = [{"input_ids": torch.randint(5, 60, (16,)).tolist()} for _ in range(20)]
    small = compress(tiny_llama(), rows, VTrans(Budget(0.5), SHORT, SHORT))
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in tiny_llama().parameters())


def test_the_same_call_goes_on_in_a_folder_and_gives_the_same_model(tmp_path):
    one = compress(tiny_bert(), made(), schedules=SHORTEST, folder=tmp_path)
    two = compress(tiny_bert(), made(), schedules=SHORTEST, folder=tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert (tmp_path / "0-prune.ckpt").exists()


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ([], "no rows"),
        ([{"text": "x", "label": 1}], "no column 'input_ids'; tokenise it"),
        ([{"input_ids": [1, 2]}], "no column 'labels'"),
    ],
)
def test_what_a_data_set_lacks_is_named(dataset, message):
    with pytest.raises(SuiteError, match=message):
        compress(tiny_bert(), dataset, schedules=SHORTEST)


def test_public_names_are_what_they_are_said_to_be():
    assert all(callable(getattr(vtrans, name)) for name in vtrans.__all__)
    assert all(issubclass(getattr(baselines, name), vtrans.VTrans.__mro__[1]) for name in baselines.__all__)
    with pytest.raises(AttributeError):
        _ = vtrans.nothing
    model = FAMILIES["bert"]()
    from vtrans.anatomy import anatomy_of

    with apply_masks(model, Masks.dense(anatomy_of(model))), torch.no_grad():
        masked = model(**inputs()).logits
    torch.testing.assert_close(masked, model(**inputs()).logits)
    assert save_pruned is vtrans.save_pruned


def test_the_dense_model_is_given_back_as_it_came():
    model = tiny_bert().train()
    model.bert.encoder.layer[1].eval()
    model.classifier.bias.requires_grad_(False)
    modes = [module.training for module in model.modules()]
    flags = [parameter.requires_grad for parameter in model.parameters()]
    compress(model, made(), schedules=SHORTEST)
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == flags


def test_whole_numbers_are_scores_where_the_model_gives_one():
    rows = made().remove_columns("label").add_column("label", [i % 5 for i in range(40)])
    assert examples_of(rows, tiny_bert(outputs=1)).labels.tolist() == [float(i % 5) for i in range(40)]
    assert examples_of(rows, tiny_bert(outputs=1)).labels.dtype == torch.float32
    assert examples_of(rows, tiny_bert(outputs=5)).labels.dtype == torch.int64
    words = made().remove_columns("label").add_column("label", ["good"] * 40)
    with pytest.raises(SuiteError, match="labels are no scores, 'good' for one"):
        examples_of(words, tiny_bert(outputs=1))


def test_what_compresses_nothing_and_classifiers_without_a_pad_token_are_refused():
    from vtrans.methods.agnostic import VTransAgnostic

    with pytest.raises(SuiteError, match="VTrans-agnostic compresses nothing by itself"):
        compress(tiny_bert(), made(), VTransAgnostic, schedules=SHORTEST)
    shape = {"n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 48, "vocab_size": 60}
    with pytest.raises(SuiteError, match="has no pad token"):
        compress(GPT2ForSequenceClassification(GPT2Config(**shape)), made(), schedules=SHORTEST)


def test_a_family_of_sizes_from_one_run(tmp_path):
    model, sizes = tiny_bert(intermediate_size=96), (0.4, 0.6)
    shortest = Schedules(*[Schedule(steps=4, batch=8, precision="fp32")] * 5)
    dense, found, handler = Size.of(model), {}, signal.getsignal(signal.SIGINT)
    for share, small in compress_family(model, tiny_examples(), tmp_path, sizes=sizes, schedules=shortest):
        assert signal.getsignal(signal.SIGINT) is handler  # Ctrl-C is the caller's meanwhile
        size = Size.of(small)
        found[share] = 1 - float(size.parameters(size.dense)) / float(dense.parameters(dense.dense))
    assert list(found) == pytest.approx(list(found.values()), abs=0.02)
    assert not (tmp_path / ".teacher-outputs").exists()
    with pytest.raises(SuiteError, match="ascending"):
        next(compress_family(model, tiny_examples(), tmp_path, sizes=(0.6, 0.4)))
    with pytest.raises(SuiteError, match="compress_family"):
        compress(model, tiny_examples(), VTransFamily)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"sparsity": 0.4}, "method or setting"),
        ({"model": tiny_bert(seed=5)}, "model"),
        ({"dataset": made(rows=36)}, "rows"),
        ({"seed": 1, "method": FastVTrans}, "method or setting and seed"),
    ],
)
def test_a_folder_of_another_run_is_refused(tmp_path, other, named):
    call = {"model": tiny_bert(), "dataset": made(), "schedules": SHORTEST, "folder": tmp_path}
    compress(**call)
    with pytest.raises(SuiteError, match=f"holds a run with another {named}; give another folder"):
        compress(**(call | other))


def test_the_folder_of_another_family_is_refused(tmp_path):
    call = {"model": tiny_bert(), "dataset": made(), "folder": tmp_path, "sizes": (0.3,), "schedules": SHORTEST}
    list(compress_family(**call))
    with pytest.raises(SuiteError, match="holds a run with another seed"):
        list(compress_family(**call, seed=1))


def test_a_model_in_float16_is_named():
    with pytest.raises(SuiteError, match="the model is in float16, .*; load it with dtype=torch.float32"):
        compress(tiny_bert().half(), made(), schedules=SHORTEST)


def test_a_size_of_a_family_is_of_the_sizes_before_it(tmp_path):
    call = {"model": tiny_bert(), "dataset": made(), "folder": tmp_path, "schedules": SHORTEST}
    list(compress_family(**call, sizes=(0.4,)))
    with pytest.raises(SuiteError, match="s40 holds a run with another smaller size before it"):
        list(compress_family(**call, sizes=(0.2, 0.4)))


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_a_folder_whose_mark_is_damaged_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(SuiteError, match="does not say which run the folder is of"):
        compress(tiny_bert(), made(), schedules=SHORTEST, folder=tmp_path)


def test_a_family_refuses_what_one_size_does():
    with pytest.raises(SuiteError, match="float16"):
        next(compress_family(tiny_bert().half(), made(), "work", schedules=SHORTEST))


def test_other_answers_are_other_rows():
    rows = tiny_examples()
    other = SimpleNamespace(ids=rows.ids, types=rows.types, labels=rows.labels, spans=[(1, 2)] * len(rows))
    assert digest_of(rows) == digest_of(tiny_examples()) != digest_of(other)
