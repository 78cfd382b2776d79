"""Masked language modelling: metrics, and encoders pruned on text that tasks go on with."""

import math

import pytest
import torch
from made import make_text
from tiny import tiny_bert_mlm

from benchmark.grid import suites as presets
from benchmark.grid.cells import plan
from benchmark.records.store import Store
from benchmark.runs import runner
from benchmark.tasks.language_modeling.perplexity import masked_hits, masked_metrics
from vtrans.anatomy import Widths
from vtrans.data.masked_lm import MaskedWindows, masked_count
from vtrans.errors import SuiteError
from vtrans.saving.pruned import load_pruned
from vtrans.settings import Schedule, Schedules

SHORT = Schedule(steps=6, batch=4, lr=1e-3, precision="fp32")


@pytest.fixture
def mlm_preset(monkeypatch, tiny_preset):
    """The preset `tiny` of the suite `mlm`, on sentences made here."""
    sentences = ["the film is good a fine plot", "a bad film the plot is dull", "nice film great plot"]
    make_text(monkeypatch, "imdb-masked", sentences * 20, sentences * 3)
    preset = presets.Preset(
        name="tiny",
        summary="for tests",
        model="tiny",
        tasks=("imdb-masked",),
        seeds=(0,),
        max_length=16,
        evaluation_precision="fp32",
        schedules=lambda task: Schedules(*[SHORT] * 5),
    )
    monkeypatch.setitem(presets.SUITES["mlm"].presets, "tiny", preset)
    monkeypatch.setitem(presets.SUITES["mlm"].rows, "tiny", ("dense", "VTrans-s50"))
    return preset


def scored(model, windows):
    return masked_metrics(*masked_hits(model, windows), sum(map(masked_count, windows.lengths)))


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary():
    model = tiny_bert_mlm()
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight.zero_()
        model.cls.predictions.decoder.bias.zero_()
    words = MaskedWindows.of([7] * 40, 12, (2, 3), pad=0, mask=4, vocabulary=60).fixed(0)
    assert scored(model, words)["masked_perplexity"] == pytest.approx(60, rel=1e-4)


def test_metrics_are_those_of_the_models_own_loss():
    model = tiny_bert_mlm()
    words = MaskedWindows.of(torch.randint(5, 60, (40,)).tolist(), 12, (2, 3), pad=0, mask=4, vocabulary=60).fixed(0)
    batch = words.batch(range(len(words)))
    with torch.no_grad():
        found = model(**batch)
    asked = batch["labels"] >= 0
    right = (found.logits.argmax(-1) == batch["labels"])[asked].float().mean()
    metrics = scored(model, words)
    assert metrics["masked_perplexity"] == pytest.approx(math.exp(float(found.loss)), rel=1e-4)
    assert metrics["masked_accuracy"] == pytest.approx(100 * float(right), abs=1e-3)


def test_a_task_goes_on_with_an_encoder_pruned_on_text(mlm_preset, data_dir, tmp_path):
    cells = plan("glue", "tiny", ["VTrans-agnostic-s50"], ["sst2"], [0])
    store = Store(tmp_path / "results", "glue", "tiny")
    assert runner.run_cells(cells, store, data_dir) == 1
    record = store.read(cells[0])
    assert record.outcome.sparsity.real == pytest.approx(0.5, abs=0.06)
    assert {"imdb-masked dense", "imdb-masked VTrans-s50"} <= set(record.outcome.seconds)
    words = Store(tmp_path / "results", "mlm", "tiny")
    base = words.read(cells[0].base)
    assert set(base.outcome.metrics) == {"masked_accuracy", "masked_perplexity"}
    pruned = [load_pruned(s.work(c) / "model") for s, c in ((store, cells[0]), (words, cells[0].base))]
    assert Widths.of(pruned[0]) == Widths.of(pruned[1])
    assert runner.run_cells(plan("mlm", "tiny"), words, None) == 0  # both were made on the way


def test_what_cannot_be_is_refused(mlm_preset):
    with pytest.raises(SuiteError, match="predicts a token at any position"):
        plan("mlm", "tiny", ["Transkimmer"])
    with pytest.raises(SuiteError, match="fine-tuned on a task with labels, which imdb-masked has not"):
        plan("mlm", "tiny", ["VTrans-agnostic-s50"])
