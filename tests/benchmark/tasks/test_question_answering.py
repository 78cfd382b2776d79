"""Extractive question answering: rows, windows, spans, metrics, and a grid end to end."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.common.checkpoints import load_tokenizer
from benchmark.grid import suites as presets
from benchmark.grid.cells import plan
from benchmark.models import prepare
from benchmark.models import registry as models
from benchmark.records.store import Store
from benchmark.runs import runner
from benchmark.tasks.kind import kind_of
from benchmark.tasks.question_answering import spans
from benchmark.tasks.question_answering.metrics import exact_match, f1, normalise, score_answers
from benchmark.tasks.question_answering.rows import Question, hold_out
from benchmark.tasks.registry import get_task
from vtrans.errors import SuiteError
from vtrans.settings import Schedule, Schedules

PLOT = "a good film is nice the plot is bad a great fine film the poor dull plot"
WORDS = PLOT.split()


def question(index: int, start: int, words: int = 2) -> dict:
    text = " ".join(WORDS[start : start + words])
    first = len(" ".join(WORDS[:start])) + (start > 0)
    answers = {"text": [text], "answer_start": [first]}
    context = PLOT + " " + " ".join(WORDS[: index % 7])
    return {"id": str(index), "title": "", "context": context, "question": "the plot is nice", "answers": answers}


def write(folder, rows: dict[str, list[dict]], name: str = "squad"):
    (folder / name).mkdir(parents=True, exist_ok=True)
    for split, items in rows.items():
        (folder / name / f"{split}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    return folder


def load(task, *more):
    return kind_of(task).load(task, *more)


@pytest.fixture
def squad_dir(tmp_path):
    train = [question(i, i % 12) for i in range(48)]
    return write(tmp_path / "data", {"train": train, "validation": [question(i, i % 9) for i in range(12)]})


def asked(item: dict) -> Question:
    pairs = tuple(zip(item["answers"]["text"], item["answers"]["answer_start"], strict=True))
    return Question(item["id"], item["question"], item["context"], pairs)


@pytest.mark.parametrize(
    ("answer", "gold", "em", "value"),
    [
        ("The Denver Broncos!", "denver broncos", 1, 1),
        ("Broncos", "Denver Broncos", 0, 2 / 3),
        ("a an the", "", 1, 1),
        ("", "Denver", 0, 0),
        ("Denver Denver", "Denver", 0, 2 / 3),
        ("24-10", "2410", 1, 1),
        ("Carolina", "Denver", 0, 0),
    ],
)
def test_metrics_by_hand(answer, gold, em, value):
    assert exact_match(answer, gold) == em
    assert f1(answer, gold) == pytest.approx(value)


def test_the_best_gold_answer_counts():
    found = score_answers(["x y", "", "b"], [["z", "x y"], [], ["q b", "c"]])
    assert found == {
        "exact_match": pytest.approx(200 / 3, abs=1e-3),
        "f1": pytest.approx(100 * (2 + 2 / 3) / 3, abs=1e-3),
    }
    assert normalise("An apple, the pear") == "apple pear"


@given(st.text(max_size=30), st.text(max_size=30))
def test_f1_is_symmetric_and_one_for_equals(a, b):
    assert f1(a, b) == pytest.approx(f1(b, a))
    assert f1(a, a) == exact_match(a, a) == 1
    assert exact_match(a, b) <= f1(a, b) <= 1


def perfect(examples: spans.SpanExamples) -> list[torch.Tensor]:
    logits = []
    for ids, (start, end) in zip(examples.ids, examples.spans, strict=True):
        scores = torch.zeros(len(ids), 2)
        scores[start, 0] = scores[end, 1] = 9.0
        logits.append(scores)
    return logits


@pytest.mark.parametrize("length", [40, 70, 128])
def test_labels_lead_back_to_the_answers_over_any_windows(model_dir, monkeypatch, length):
    monkeypatch.setattr(spans, "QUESTION_TOKENS", 8)
    monkeypatch.setattr(spans, "STRIDE", 12)
    rows = [asked(question(i, start)) for i, start in enumerate(range(14))]
    long = [Question(r.id, r.question, r.context + " . " + PLOT + " " + PLOT, r.answers) for r in rows]
    examples = spans.encode(long, load_tokenizer(model_dir), length)
    assert max(examples.lengths) <= length and examples.cut == 0
    assert (len(examples) > len(long)) == (length < 60)
    found = spans.answers(long, examples, perfect(examples), may_abstain=False)
    assert found == [row.answers[0][0] for row in rows]


def test_a_question_without_answer_is_abstained_from_where_that_may_be(model_dir):
    rows = [Question("0", "the plot", PLOT, ())]
    examples = spans.encode(rows, load_tokenizer(model_dir), 100)
    assert examples.spans == [(0, 0)]
    logits = perfect(examples)
    assert spans.answers(rows, examples, logits, may_abstain=True) == [""]
    assert spans.answers(rows, examples, logits, may_abstain=False) != [""]


def test_answers_are_ordered_short_and_in_the_passage(model_dir):
    rows = [asked(question(0, 3))]
    examples = spans.encode(rows, load_tokenizer(model_dir), 100)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        logits = [10 * torch.randn(len(ids), 2, generator=generator) for ids in examples.ids]
        (text,) = spans.answers(rows, examples, logits, may_abstain=False)
        assert text and text in rows[0].context and len(text.split()) <= spans.ANSWER_TOKENS


def test_answers_that_windows_cut_off_are_counted_and_refused_when_all_are(model_dir, monkeypatch):
    monkeypatch.setattr(spans, "QUESTION_TOKENS", 4)
    whole, cut = question(0, 2), question(1, 0, words=13)
    tokenizer = load_tokenizer(model_dir)
    assert spans.encode([asked(whole), asked(cut)], tokenizer, 18).cut == 1
    with pytest.raises(SuiteError, match="no window of 18 tokens holds an answer"):
        spans.encode([asked(cut)], tokenizer, 18)
    with pytest.raises(SuiteError, match="no room for a passage"):
        spans.encode([asked(whole)], tokenizer, 8)
    assert spans.encode([asked(question(0, 0))], tokenizer, 9).ids


def test_bad_rows_are_named(squad_dir):
    task = get_task("squad")
    bad = question(7, 3)
    bad["answers"]["answer_start"] = [4]
    write(squad_dir, {"train": [question(0, 0), bad]})
    with pytest.raises(SuiteError, match=r"train.jsonl:2: the answer 'is nice' of 7 is not at 4"):
        load(task, squad_dir)
    none = question(1, 0) | {"answers": {"text": [], "answer_start": []}}
    write(squad_dir, {"train": [none]})
    with pytest.raises(SuiteError, match="has no answer; use the task squad_v2|squad_v2"):
        load(task, squad_dir)
    write(squad_dir, {"train": [none], "validation": [none]}, "squad_v2")
    assert load(get_task("squad_v2"), squad_dir).train[0].answers == ()
    write(squad_dir, {"train": [{"id": 1}]})
    with pytest.raises(SuiteError, match="train.jsonl:1 is no question"):
        load(task, squad_dir)


def test_dev_holds_out_whole_passages():
    rows = [Question(str(i), "q", f"passage {i // 3}", ()) for i in range(90)]
    train, dev = hold_out(rows)
    assert dev and not {r.context for r in train} & {r.context for r in dev}
    assert len(train) + len(dev) == len(rows)


def test_static_token_and_joint_rows_run_end_to_end(monkeypatch, model_dir, squad_dir, tmp_path):
    short = Schedule(steps=6, batch=8, lr=1e-3, precision="fp32")
    preset = presets.Preset(
        name="tiny",
        summary="for tests",
        model="tiny",
        tasks=("squad",),
        seeds=(0,),
        max_length=100,
        evaluation_precision="fp32",
        schedules=lambda task: Schedules(*[short] * 5, tokens=short, token_search=short),
        settings={"PoWER-BERT.rate": "0.3", "PoWER-BERT.penalty": "0.05"},
    )
    monkeypatch.setitem(presets.SUITES["squad"].presets, "tiny", preset)
    monkeypatch.setitem(
        presets.SUITES["squad"].rows,
        "tiny",
        ("dense", "VTrans-s50", "Transkimmer", "PoWER-BERT", "VTrans-s50+Infor-Coef"),
    )
    monkeypatch.setitem(
        models.MODELS, "tiny", models.ModelSpec("tiny", models.Shape(2, 24, 32, 18, 300), note="made in a test")
    )
    monkeypatch.setattr(prepare, "locate", lambda spec: model_dir)
    cells, store = plan("squad", "tiny"), Store(tmp_path / "results", "squad", "tiny")
    assert runner.run_cells(cells, store, squad_dir) == len(cells)
    for record in store.complete(cells).values():
        assert set(record.outcome.metrics) == {"exact_match", "f1"}
        assert record.data.evaluation_rows == 12
        assert "0 of 48 training questions" in record.data.label_check
        assert (record.outcome.tokens is None) == (record.row in ("dense", "VTrans-s50"))
