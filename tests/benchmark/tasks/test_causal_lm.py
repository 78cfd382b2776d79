"""Language modelling: text, perplexity, the model that the suite pre-trains, and its rows end to end."""

import dataclasses
import json
import math
import signal

import pytest
import torch
from made import make_text
from tiny import tiny_gpt2, tiny_llama

from benchmark.grid import suites as presets
from benchmark.grid.cells import plan
from benchmark.models import registry as models
from benchmark.models.prepare import prepare
from benchmark.models.pretrain import train_tokenizer
from benchmark.models.registry import ModelSpec, Recipe, Shape
from benchmark.records.store import Store
from benchmark.runs import runner
from benchmark.tasks.kind import kind_of
from benchmark.tasks.language_modeling import text
from benchmark.tasks.language_modeling.perplexity import metrics_of, window_nll
from benchmark.tasks.registry import get_task
from vtrans.data.windows import Windows
from vtrans.errors import RunCancelled, SuiteError
from vtrans.settings import Schedule, Schedules

WORDS = ["the", "film", "was", "good", "bad", "plot", "and", "a", "long", "night"]


def sentences(count: int, seed: int = 0) -> list[str]:
    generator = torch.Generator().manual_seed(seed)
    picks = torch.randint(len(WORDS), (count, 9), generator=generator).tolist()
    return [" ".join(WORDS[i] for i in pick) + "\n" for pick in picks]


def load(task, *more):
    return kind_of(task).load(task, *more)


@pytest.fixture
def text_dir(tmp_path):
    folder = tmp_path / "data" / "wikitext-2"
    folder.mkdir(parents=True)
    for seed, split in enumerate(("train", "test")):
        (folder / f"{split}.txt").write_text("".join(sentences(60, seed)))
    return tmp_path / "data"


@pytest.fixture
def lm_preset(monkeypatch):
    """A preset whose model is pre-trained in seconds, on sentences made here."""
    recipe = Recipe(2, 16, 2, Schedule(steps=6, batch=4, lr=1e-3, embeddings=True, precision="fp32"), 16, 300)
    spec = ModelSpec("gpt2-tiny", Shape(2, 16, 64, 300, 16, decoder=True), note="made in a test", recipe=recipe)
    monkeypatch.setitem(models.MODELS, spec.name, spec)
    make_text(monkeypatch, "imdb", sentences(80, 5), sentences(5, 6))
    short = Schedule(steps=6, batch=4, lr=1e-3, precision="fp32")
    preset = presets.Preset(
        name="tiny",
        summary="for tests",
        model=spec.name,
        tasks=("wikitext2",),
        seeds=(0,),
        max_length=16,
        evaluation_precision="fp32",
        schedules=lambda task: Schedules(*[short] * 5),
        settings={"Faster-VTrans.fraction": "0.5"},
    )
    monkeypatch.setitem(presets.SUITES["lm"].presets, "tiny", preset)
    monkeypatch.setitem(presets.SUITES["lm"].rows, "tiny", ("dense", "CoFi-s50", "VTrans-s50", "Faster-VTrans-s50"))
    return preset


@pytest.mark.parametrize("make", [tiny_gpt2, tiny_llama])
def test_perplexity_is_the_models_own_loss(make):
    model = make()
    windows = Windows.of(torch.randint(5, 60, (64,)).tolist(), 16, pad=0, text_bytes=256)
    with torch.no_grad():
        loss = float(model(**windows.batch(range(4))).loss)
    found = metrics_of(window_nll(model, windows), windows)
    assert found["perplexity"] == pytest.approx(math.exp(loss), rel=1e-4)
    assert found["bits_per_byte"] == pytest.approx(loss / math.log(2) / 4, rel=1e-4)


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary():
    model = tiny_gpt2()
    with torch.no_grad():
        model.transformer.wte.weight.zero_()
    windows = Windows.of([7] * 40, 16, pad=0)
    assert metrics_of(window_nll(model, windows), windows)["perplexity"] == pytest.approx(60, rel=1e-4)


def test_a_stride_scores_more_tokens_each_with_more_context():
    model, ids = tiny_gpt2(), torch.randint(5, 60, (48,), generator=torch.Generator().manual_seed(0)).tolist()
    strided = Windows.of(ids, 16, pad=0, stride=1)
    by_hand = 0.0
    with torch.no_grad():
        for end in range(1, len(ids)):
            part = torch.tensor([ids[max(0, end - 15) : end + 1]])
            logits = model(part).logits[0, -2]
            by_hand -= float(logits.log_softmax(-1)[ids[end]])
    assert window_nll(model, strided).sum() == pytest.approx(by_hand, rel=1e-4)


def test_text_is_read_in_the_rows_of_the_hub(text_dir):
    path = text_dir / "wikitext-2" / "train.txt"
    path.write_text(" \n = A = \n \n one\u2028two \n")
    data = load(get_task("wikitext2"), text_dir)
    assert data.train == ["", " = A = \n", "", " one\u2028two \n"]
    assert text.joined(get_task("wikitext2-raw"), data.train[1:3]) == " = A = \n\n\n"


def test_the_other_split_is_trained_on_only_where_train_is_missing(text_dir):
    folder, task = text_dir / "wikitext-2-raw", get_task("wikitext2-raw")
    folder.mkdir()
    for name in ("validation", "test"):
        (folder / f"{name}.txt").write_text(f"{name}\n")
    data = load(task, text_dir)
    assert data.train == ["validation\n"] and data.source == "folder, wikitext-2-raw/validation.txt and test.txt"
    assert data.caveat(task).endswith('; "train" is the validation split')
    (folder / "train.txt").write_text("train\n")
    data = load(task, text_dir)
    assert data.train == ["train\n"] and data.evaluation == ["test\n"] and data.caveat(task) == task.caveat
    (folder / "train.txt").unlink()
    (folder / "validation.txt").unlink()
    with pytest.raises(SuiteError, match="no wikitext-2-raw/train.txt"):
        load(task, text_dir)


def test_missing_empty_and_short_text_are_refused(text_dir):
    with pytest.raises(SuiteError, match="no wikitext-103/train.txt"):
        load(get_task("wikitext103"), text_dir)
    (text_dir / "wikitext-2" / "test.txt").write_text("\n \n")
    with pytest.raises(SuiteError, match="wikitext2 has no test rows"):
        load(get_task("wikitext2"), text_dir)
    with pytest.raises(SuiteError, match="leave out --data-dir"):
        load(get_task("imdb"), text_dir)


def test_dev_is_held_out_of_train(text_dir):
    task = get_task("wikitext2")
    whole, dev = load(task, text_dir), load(task, text_dir, "dev")
    assert [*dev.train, *dev.evaluation] == list(whole.train)


def test_token_methods_are_refused_for_a_decoder(lm_preset):
    with pytest.raises(SuiteError, match="drops tokens, but .* predicts a token at any position"):
        plan("lm", "tiny", ["VTrans-s50+Infor-Coef"])


def test_rows_run_end_to_end_and_the_model_is_made_once(lm_preset, text_dir, tmp_path):
    cells, store = plan("lm", "tiny"), Store(tmp_path / "results", "lm", "tiny")
    assert runner.run_cells(cells, store, text_dir) == 4
    records = store.complete(cells)
    assert [r.row for r in records.values()] == list(presets.SUITES["lm"].rows["tiny"])
    for record in records.values():
        assert record.data.evaluation_rows > 100
        assert 1 < record.outcome.metrics["perplexity"] < 400
        if record.row != "dense":
            assert record.outcome.sparsity.real == pytest.approx(0.5, abs=0.06)
    made = list((store.folder / "work").glob("gpt2-tiny--*"))
    assert len(made) == 1 and json.loads((made[0] / "made.json").read_text())["tokens_seen"] == 6 * 4 * 16
    assert runner.run_cells(cells, store, text_dir) == 0


def test_an_interrupted_pretraining_goes_on_bit_equal(lm_preset, tmp_path):
    spec = models.get_model("gpt2-tiny")
    whole = prepare(spec, tmp_path / "a")

    def stop(stage, step, total, numbers):
        if step == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(RunCancelled, match="stopped at step 3 of 6"):
        prepare(spec, tmp_path / "b", stop)
    again = prepare(spec, tmp_path / "b")
    assert (whole / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()


def test_another_recipe_is_another_model(lm_preset, tmp_path):
    spec = models.get_model("gpt2-tiny")
    other = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, layers=1))
    assert prepare(spec, tmp_path) != prepare(other, tmp_path)


@pytest.mark.parametrize("split_differs", [False, True])
def test_parts_of_a_text_have_the_tokens_of_the_whole(monkeypatch, split_differs):
    tokenizer = train_tokenizer(sentences(80, 5), 300)
    whole = "".join(sentences(60)) + " " + "".join(sentences(60, 3))
    want = tokenizer(whole, add_special_tokens=False)["input_ids"]
    asked = []

    def count(part, **options):
        """Note the lengths; a tokenizer of the other kind starts each part with a token of its own."""
        asked.append(len(part))
        found = tokenizer(part, **options)["input_ids"]
        return {"input_ids": [7, *found] if split_differs else found}

    monkeypatch.setattr(text, "PART", 500)
    found = text.token_ids(count, whole).tolist()
    assert found == ([7, *want] if split_differs else want)
    assert (max(asked) < 700) != split_differs
