"""Masks on windows of text: what they cover, that fixed ones stay, and what distillation is asked about."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_bert_mlm

from vtrans.data.masked_lm import SHARE, MaskedWindows
from vtrans.data.windows import IGNORED
from vtrans.errors import SuiteError
from vtrans.objectives.distillation import asked_tokens

MASK, VOCABULARY = 4, 60


def words(count: int = 60, size: int = 12) -> MaskedWindows:
    ids = torch.randint(5, VOCABULARY, (count,), generator=torch.Generator().manual_seed(0)).tolist()
    return MaskedWindows.of(ids, size, (2, 3), pad=0, mask=MASK, vocabulary=VOCABULARY)


@given(st.integers(20, 90), st.integers(3, 20))
def test_windows_are_framed_and_hold_the_text_in_order(count, size):
    text, inside = words(count, size), size - 2
    assert all((part[0], part[-1], len(part)) == (2, 3, size) for part in text.ids)
    assert len(text) == count // inside
    joined = [token for part in text.ids for token in part[1:-1]]
    assert joined == [token for part in words(count, 3).ids for token in part[1:-1]][: len(joined)]


@given(st.integers(0, 1000))
def test_masks_leave_the_frame_and_label_what_they_cover(seed):
    text = words().fixed(seed)
    batch = text.batch(range(len(text)))
    asked = batch["labels"] != IGNORED
    original = torch.tensor(list(text.ids))
    assert torch.equal(batch["labels"][asked], original[asked])
    assert torch.equal(batch["input_ids"][~asked], original[~asked])
    assert not asked[:, 0].any() and not asked[:, -1].any()
    assert (asked.sum(1) == round(SHARE * 10)).all()


def test_of_the_masked_words_four_in_five_become_the_mask_and_one_in_ten_another():
    text = words(20_000, 102).fixed(0)
    batch, original = text.batch(range(len(text))), torch.tensor(list(text.ids))
    put = batch["input_ids"][batch["labels"] != IGNORED]
    same = (put == original[batch["labels"] != IGNORED]).float().mean()
    assert float((put == MASK).float().mean()) == pytest.approx(0.8, abs=0.03)
    assert float(same) == pytest.approx(0.1 + 0.1 / VOCABULARY, abs=0.02)


def test_fixed_masks_stay_and_others_are_drawn_anew():
    text = words()
    torch.manual_seed(0)
    first, second = (text.batch([0, 1])["input_ids"] for _ in range(2))
    assert not torch.equal(first, second)
    fixed = text.fixed(3)
    assert torch.equal(fixed.batch([1])["input_ids"][0], fixed.batch([0, 1])["input_ids"][1])
    torch.manual_seed(0)
    assert torch.equal(text.batch([0, 1])["input_ids"], first)


def test_a_text_shorter_than_a_window_is_refused():
    with pytest.raises(SuiteError, match="the text has 5 tokens, one window 12; give a longer text"):
        words(5)


def test_distillation_asks_about_masked_words_alone():
    batch = words().batch([0, 1])
    asked = asked_tokens(batch)
    assert torch.equal(asked, batch["labels"] != IGNORED)
    logits = tiny_bert_mlm()(input_ids=batch["input_ids"]).logits
    assert logits[asked].shape == (int(asked.sum()), VOCABULARY)
    labelled = {"labels": torch.zeros(2), "attention_mask": torch.ones(2, 5)}
    assert torch.equal(asked_tokens(labelled), labelled["attention_mask"])
