"""Windows of running text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtrans.data.windows import IGNORED, Windows
from vtrans.errors import SuiteError


@given(st.integers(4, 80), st.integers(2, 12), st.data())
def test_every_token_but_the_first_ones_is_predicted_once(length, size, data):
    if length < size:
        return
    stride = data.draw(st.integers(1, size))
    windows = Windows.of(range(length), size, pad=0, stride=stride)
    batch = windows.batch(range(len(windows)))
    predicted = batch["labels"][:, 1:]
    tokens = predicted[predicted != IGNORED].tolist()
    assert len(tokens) == windows.scored
    assert len(set(tokens)) == len(tokens)
    lost = set(range(length)) - set(tokens)
    # Overlapping windows lose the very first token alone, others the first of each window.
    assert lost == ({0} if stride < size else set(range(0, length, size)))


def test_strided_windows_see_at_least_the_stated_context():
    windows = Windows.of(range(20), 8, pad=0, stride=3)
    for ids, context in list(zip(windows.ids, windows.context, strict=True))[1:]:
        assert context == 5 and len(ids) > context


def test_a_batch_pads_and_ignores_the_padding():
    windows = Windows.of(range(10, 17), 4, pad=99)
    batch = windows.batch([0, 1])
    assert batch["input_ids"].tolist() == [[10, 11, 12, 13], [14, 15, 16, 99]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch["labels"].tolist() == [[10, 11, 12, 13], [14, 15, 16, IGNORED]]
    assert "token_type_ids" not in batch


def test_taking_windows_keeps_their_context():
    windows = Windows.of(range(20), 8, pad=0, stride=3)
    part = windows.take([2, 0])
    assert part.context == [5, 0] and list(part.ids[1]) == list(range(8))
    assert part.bytes_per_token == windows.bytes_per_token


def test_short_text_and_bad_stride_are_refused():
    with pytest.raises(SuiteError, match="3 tokens, one window 4"):
        Windows.of(range(3), 4, pad=0)
    with pytest.raises(SuiteError, match="stride 9"):
        Windows.of(range(30), 4, pad=0, stride=9)
