"""Batches depend on the seed alone; subsets are stratified."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_examples

from vtrans.data.examples import MULTIPLE, Batches, padded_width, stratified_rows
from vtrans.errors import SuiteError


@given(st.integers(1, 200), st.integers(1, 32), st.integers(0, 100))
def test_each_epoch_sees_each_row_once(rows, batch, seed):
    lengths = [5 + i % 7 for i in range(rows)]
    batches = Batches(lengths, batch, seed)
    for epoch in range(2):
        start = epoch * batches.per_epoch
        seen = [row for step in range(start, start + batches.per_epoch) for row in batches[step]]
        assert sorted(seen) == list(range(rows))


def test_batches_are_the_same_whatever_was_asked_before():
    lengths = list(range(100))
    one, two = Batches(lengths, 8, 3), Batches(lengths, 8, 3)
    _ = [one[i] for i in range(40)]
    assert one[30] == two[30]
    assert Batches(lengths, 8, 4)[0] != one[0]


def test_batches_group_lengths():
    lengths = torch.randint(5, 60, (800,), generator=torch.Generator().manual_seed(0)).tolist()
    spread = [
        max(lengths[r] for r in rows) - min(lengths[r] for r in rows)
        for rows in (Batches(lengths, 16, 0)[i] for i in range(50))
    ]
    assert sum(spread) / len(spread) < 5


def test_batch_is_padded_and_masked():
    examples = tiny_examples()
    batch = examples.batch([0, 1, 2], length=20)
    assert batch["input_ids"].shape == (3, 20)
    assert batch["attention_mask"].sum(1).tolist() == examples.lengths[:3]
    assert bool((batch["input_ids"][batch["attention_mask"] == 0] == 0).all())


@given(st.lists(st.integers(1, 70), min_size=1, max_size=32), st.integers(0, 70))
def test_training_batches_have_few_widths_and_none_beyond_the_longest_row(lengths, more):
    limit = max(lengths) + more
    width = padded_width(lengths, limit)
    assert max(lengths) <= width < max(lengths) + MULTIPLE
    assert width % MULTIPLE == 0 or width == limit


@given(st.floats(0.02, 1.0), st.integers(0, 50))
def test_subset_keeps_class_shares(fraction, seed):
    labels = torch.tensor([0] * 300 + [1] * 100)
    rows = stratified_rows(labels, fraction, seed)
    assert len(set(rows)) == len(rows)
    ones = int(labels[rows].sum())
    assert ones == max(1, round(100 * fraction))
    assert len(rows) - ones == max(1, round(300 * fraction))


def test_scores_are_one_stratum():
    assert len(stratified_rows(torch.rand(100), 0.03, 0)) == 3


@pytest.mark.parametrize("fraction", [0.0, 1.5])
def test_fraction_out_of_range(fraction):
    with pytest.raises(SuiteError, match="fraction"):
        stratified_rows(torch.zeros(4, dtype=torch.long), fraction, 0)
