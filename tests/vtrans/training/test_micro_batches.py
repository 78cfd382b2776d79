"""The rows of a step, divided over accumulation and ranks: each computed once, weighed as the loss counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtrans.data.windows import Windows
from vtrans.training.micro_batches import micro_batches


@given(st.integers(1, 40), st.integers(1, 8), st.integers(1, 6))
def test_ranks_share_a_step_row_by_row_in_equally_many_micro_batches(count, accumulate, world_size):
    rows = list(range(100, 100 + count))
    shared = [micro_batches(rows, accumulate, rank, world_size) for rank in range(world_size)]
    assert len({len(own) for own in shared}) == 1
    assert len(shared[0]) <= accumulate
    every = [micro for own in shared for micro in own]
    assert sorted(row for micro in every if micro.weight for row in micro.rows) == rows
    assert sum(micro.weight for micro in every) == pytest.approx(1)
    assert all(micro.rows and micro.share.total == len(micro.all_rows) for micro in every)
    for together in zip(*shared, strict=True):  # what the ranks compute at the same time
        assert len({tuple(micro.all_rows) for micro in together}) == 1


def test_micro_batches_weigh_what_the_loss_is_the_mean_over():
    windows = Windows.of(list(range(5, 47)), 10, pad=0)  # the last one has 2 tokens, of which 1 is predicted
    found = [micro for rank in range(2) for micro in micro_batches([0, 1, 2, 3, 4], 1, rank, 2, windows.count)]
    assert [micro.weight for micro in found] == pytest.approx([19 / 37, 18 / 37])
