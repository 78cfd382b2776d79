"""Flat sequences are the lists that they were made of."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vtrans.data.ragged import Ragged

SEQUENCES = st.lists(st.lists(st.integers(0, 60_000), max_size=9), min_size=1, max_size=12)


@given(SEQUENCES, st.data())
def test_rows_are_the_lists(sequences, data):
    flat = Ragged.of(sequences)
    rows = data.draw(st.lists(st.integers(0, len(sequences) - 1), min_size=1, max_size=15))
    assert list(flat) == sequences and flat == Ragged.of(sequences)
    assert list(flat.take(rows)) == [sequences[r] for r in rows]
    width = max(len(sequences[r]) for r in rows) + 1
    assert flat.padded(rows, width, 7).tolist() == [[*sequences[r], *[7] * (width - len(sequences[r]))] for r in rows]
    assert flat.mask(rows, width).sum(1).tolist() == [len(sequences[r]) for r in rows]
    assert flat.lengths.tolist() == [len(each) for each in sequences]


def test_small_numbers_take_a_byte_and_slices_are_sequences():
    types, ids = Ragged.of([[0, 1], [1]]), Ragged.of([[0, 300], [1]])
    assert types.values.itemsize == 1 and ids.values.itemsize == 4
    assert list(ids[1:]) == [[1]] and ids[-1] == [1]
    with pytest.raises(IndexError):
        ids[2]
    assert ids.padded([0, 1], 2).dtype == torch.int64


def test_flat_ones_are_not_copied():
    flat = Ragged.of(iter([[1], [2, 3]]))
    assert Ragged.of(flat) is flat and flat != [[1], [2, 3]]


@given(st.lists(st.lists(st.integers(0, 90_000), max_size=6), max_size=6), st.lists(st.lists(st.integers(0, 90_000))))
def test_digests_are_those_of_the_sequences(first, second):
    one, other = Ragged.of(first), Ragged.of(second)
    assert (one.digest == other.digest) == (one == other)
    assert one.digest == Ragged.of([*first, [1]])[: len(first)].digest  # whatever the width that it is kept in
