"""Zero-shot tasks: rows, likelihoods, both scores; the same numbers as lm-evaluation-harness where it is installed."""

import copy
import json

import pytest
import torch
from tiny import tiny_gpt2, tiny_llama

from benchmark.models.pretrain import train_tokenizer
from benchmark.tasks.multiple_choice.items import READERS, Item, load_items, score_items
from benchmark.tasks.multiple_choice.likelihood import encode_pair, likelihoods
from vtrans.errors import SuiteError

TEXTS = ["the film was good and the plot was bad .", "Question: is a good film long?\nAnswer: yes it is"] * 4
ROWS = {
    "arc_easy": {"context": "is it good?", "choices": ["the film", "a plot was bad"], "label": 1},
    "arc_challenge": {"context": "is it good?", "choices": ["the film", "a plot"], "label": 0},
    "piqa": {"context": "make a film", "choices": ["long", "good"], "label": 1},
    "hellaswag": {"context": "the film was", "choices": ["good", "bad and long"], "label": 0},
    "winogrande": {"sentence": "The _ was bad .", "option1": "film", "option2": "plot", "answer": "2"},
    "boolq": {"passage": "the film was good", "question": "was it bad", "label": 0},
    "lambada": {"text": "the film was good and the plot was bad"},
}


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 300)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "zero_shot").mkdir()
    for name, row in ROWS.items():
        suffix = "_1000" if name == "hellaswag" else ""
        (tmp_path / "zero_shot" / f"{name}{suffix}.jsonl").write_text((json.dumps(row) + "\n") * 3)
    return tmp_path


def test_prompts_by_hand(folder):
    items = {name: load_items(name, folder)[0] for name in ROWS}
    assert items["arc_easy"].pairs[1] == ("Question: is it good?\nAnswer:", " a plot was bad")
    assert items["hellaswag"].pairs[0] == ("the film was", " good")
    assert items["winogrande"].pairs == (("The film", " was bad ."), ("The plot", " was bad ."))
    assert items["winogrande"].label == 1
    assert items["boolq"].pairs[1] == ("the film was good\nQuestion: was it bad?\nAnswer:", " yes")
    assert items["lambada"].pairs == (("the film was good and the plot was", " bad"),)
    assert items["arc_easy"].lengths == (8, 14)
    assert set(items) == set(READERS)


@pytest.mark.parametrize("make", [tiny_gpt2, tiny_llama])
def test_likelihoods_do_not_depend_on_the_batch(make, tokenizer):
    model = make(vocab_size=300)
    pairs = [pair for name in ROWS for pair in READERS[name][0](ROWS[name]).pairs]
    together = likelihoods(model, tokenizer, pairs)
    for pair, found in zip(pairs, together, strict=True):
        before, after = encode_pair(tokenizer, *pair)
        with torch.no_grad():
            scores = model(torch.tensor([before + after])).logits[0].log_softmax(-1)
        by_hand = sum(float(scores[len(before) + i - 1, token]) for i, token in enumerate(after))
        assert found.total == pytest.approx(by_hand, abs=1e-3)
        assert found.greedy == all(scores[len(before) + i - 1].argmax() == token for i, token in enumerate(after))


def test_spaces_at_the_end_of_a_context_go_to_the_continuation(tokenizer):
    assert encode_pair(tokenizer, "the film ", "was") == encode_pair(tokenizer, "the film", " was")


def test_both_scores_by_hand(tokenizer, monkeypatch):
    from benchmark.tasks.multiple_choice import likelihood
    from benchmark.tasks.multiple_choice.likelihood import Likelihood

    totals = iter([-4.0, -6.0, -1.0, -2.0])
    monkeypatch.setattr(likelihood, "likelihoods", lambda m, t, pairs: [Likelihood(next(totals), True) for _ in pairs])
    items = [Item((("a", " b"),) * 2, 1, (2, 6)), Item((("a", " b"),) * 2, 0, (1, 9))]
    assert score_items("piqa", torch.nn.Identity(), tokenizer, items).metrics == {"piqa": 50.0, "piqa_norm": 50.0}


def test_rows_are_limited_and_bad_input_is_named(folder):
    assert len(load_items("arc_easy", folder, 2)) == 2
    with pytest.raises(SuiteError, match="needs data"):
        load_items("arc_easy", None)
    with pytest.raises(SuiteError, match="unknown zero-shot task 'arc_eesy'; did you mean 'arc_easy'"):
        load_items("arc_eesy", folder)
    (folder / "zero_shot" / "piqa.jsonl").write_text('{"context": "x"}\n')
    with pytest.raises(SuiteError, match="piqa.jsonl:1 is no row of the task"):
        load_items("piqa", folder)
    (folder / "zero_shot" / "piqa.jsonl").write_text(json.dumps(ROWS["piqa"] | {"label": 2}))
    with pytest.raises(SuiteError, match="label 2 for 2 choices"):
        load_items("piqa", folder)
    (folder / "zero_shot" / "boolq.jsonl").unlink()
    with pytest.raises(SuiteError, match="no zero_shot/boolq.jsonl"):
        load_items("boolq", folder)


def test_hellaswag_of_the_hub_is_cleaned_of_its_markup(folder):
    row = {"activity_label": "Baking", "ctx_a": "[header] Bake [title] Mix.", "ctx_b": "the film", "label": "1"}
    row["endings"] = ["was  good [substeps] now", "was bad"]
    (folder / "zero_shot" / "hellaswag_1000.jsonl").write_text(json.dumps(row))
    (item,) = load_items("hellaswag", folder)
    assert item.pairs[0] == ("Baking: Bake. Mix. The film", " was good now")
    assert (item.label, item.lengths) == (1, (12, 7))


BAD = {
    "winogrande": {"sentence": "no blank", "option1": "a", "option2": "b", "answer": "1"},
    "boolq": {"passage": None, "question": 3, "label": "x"},
    "arc_easy": {"context": "a", "choices": "ab", "label": 0},
    "piqa": {"context": "a", "choices": ["", "b"], "label": 0},
    "lambada": {"text": "ends in a space "},
}


@pytest.mark.parametrize("name", BAD)
def test_rows_that_make_no_sense_are_named(folder, name):
    (folder / "zero_shot" / f"{name}.jsonl").write_text(json.dumps(BAD[name]))
    with pytest.raises(SuiteError, match=f"{name}.jsonl:1 is no row of the task"):
        load_items(name, folder)


def test_empty_files_and_other_encodings_are_named(folder):
    path = folder / "zero_shot" / "piqa.jsonl"
    path.write_text("\n")
    with pytest.raises(SuiteError, match="piqa.jsonl is empty"):
        load_items("piqa", folder)
    path.write_bytes('{"context": "é"}'.encode("latin-1"))
    with pytest.raises(SuiteError, match="piqa.jsonl cannot be read"):
        load_items("piqa", folder)


def test_a_choice_longer_than_the_model_is_refused(tokenizer):
    with pytest.raises(SuiteError, match="the model 48 positions; leave the question out"):
        likelihoods(tiny_gpt2(vocab_size=300), tokenizer, [("the film", " good" * 60)])


def beginning(tokenizer):
    """The tokenizer, as LLaMA's putting a token of its own before every text."""
    from tokenizers.processors import TemplateProcessing

    other = copy.deepcopy(tokenizer)
    other.add_special_tokens({"bos_token": "<s>"})
    first = ("<s>", other.bos_token_id)
    other.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[first])
    return other


@pytest.mark.parametrize("begins", [False, True])
def test_the_same_numbers_as_the_harness(tokenizer, folder, begins):
    harness = pytest.importorskip("lm_eval.models.huggingface")
    from lm_eval.api.instance import Instance

    model = tiny_gpt2(vocab_size=310)
    tokenizer = beginning(tokenizer) if begins else tokenizer
    assert (tokenizer("the")["input_ids"][0] == tokenizer.bos_token_id) == begins
    pairs = [("", " film"), *(pair for name in ROWS for pair in load_items(name, folder)[0].pairs)]
    theirs = harness.HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4, device="cpu")
    requests = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
    expected = theirs.loglikelihood(requests, disable_tqdm=True)
    for ours, (total, greedy) in zip(likelihoods(model, tokenizer, pairs), expected, strict=True):
        assert ours.total == pytest.approx(total, abs=1e-3) and ours.greedy == greedy
