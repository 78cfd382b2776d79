"""What ranks tell each other, in one process, and noise that does not depend on how many there are."""

import os
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vtrans import ranks
from vtrans.errors import SuiteError
from vtrans.ranks import Share


def test_one_process_agrees_with_itself():
    assert (ranks.world_size(), ranks.rank(), ranks.is_distributed()) == (1, 0, False)
    assert ranks.broadcast(3) == 3 and ranks.all_gather("a") == ["a"] and ranks.on_first_rank(lambda: 5) == 5
    assert ranks.all_reduce_sum([1.5, True]) == [1.5, 1.0]
    assert ranks.map_over_ranks(range(4), lambda n: n * n) == [0, 1, 4, 9]
    ranks.barrier()
    with ranks.first_then_others():
        pass


def test_what_one_rank_refuses_all_of_them_raise(monkeypatch):
    def refuse():
        raise SuiteError("no room", "make some")

    with pytest.raises(SuiteError, match=r"^no room; make some$"):
        ranks.raise_together(refuse)
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    monkeypatch.setattr(ranks, "all_gather", lambda own: [own, ("no room", "make some")])
    with pytest.raises(SuiteError, match=r"^rank 1: no room; make some$"):
        ranks.raise_together(lambda: None)


@given(st.integers(1, 9), st.integers(1, 4))
def test_items_come_back_in_order_whoever_computed_them(items, count):
    parts = [list(range(items))[rank::count] for rank in range(count)]
    found = []
    for rank in range(count):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ranks, "world_size", lambda: count)
            patch.setattr(ranks, "rank", lambda rank=rank: rank)
            patch.setattr(ranks, "all_gather", lambda own, rank=rank: [*parts[:rank], own, *parts[rank + 1 :]])
            found.append(ranks.map_over_ranks(range(items), lambda n: n))
    assert found == [list(range(items))] * count


@given(st.integers(1, 8), st.integers(1, 4))
def test_noise_does_not_depend_on_the_number_of_ranks(rows, count):
    torch.manual_seed(0)
    whole = ranks.sample_for_rank(torch.randn, (rows, 3), 2)
    for rank in range(count):
        own = tuple(range(rank, rows, count)) or (0,)
        torch.manual_seed(0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ranks, "world_size", lambda: 2)
            with ranks.sharing(Share(rows, own)):
                part = ranks.sample_for_rank(torch.randn, (len(own), 3), 2)
        assert torch.equal(part, whole[list(own)])


def test_a_lost_rank_is_told_from_other_errors(monkeypatch):
    closed = RuntimeError("[gloo] Connection closed by peer [127.0.0.1]:39053")
    assert not ranks.is_lost(closed)  # one process has nobody to lose
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    assert ranks.is_lost(closed) and not ranks.is_lost(RuntimeError("shape mismatch"))
    assert "another rank has ended" in str(ranks.lost())


def test_what_one_does_by_itself_the_others_have_no_part_in(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    assert ranks.is_distributed()
    with ranks.as_single_process():
        assert (ranks.is_distributed(), ranks.world_size(), ranks.rank(), ranks.all_reduce_sum([2.0])) == (
            False,
            1,
            0,
            [2.0],
        )
    assert ranks.is_distributed()


def test_threads_see_what_their_process_shares(monkeypatch):
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    seen = []
    with ranks.sharing(Share(4, (1, 3))):
        thread = threading.Thread(target=lambda: seen.append(ranks.sample_for_rank(torch.rand, (2,), 3).shape))
        torch.manual_seed(0)
        thread.start()
        thread.join()
        torch.manual_seed(0)
        expected = torch.rand(4, 3)[[1, 3]]
        torch.manual_seed(0)
        assert torch.equal(ranks.sample_for_rank(torch.rand, (2,), 3), expected)
    assert seen == [(2, 3)]


def test_deepspeed_is_told_that_there_is_no_gpu_unless_the_user_said_what_there_is(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for own, expected in ((None, "cpu"), ("xpu", "xpu")):
        monkeypatch.setenv("DS_ACCELERATOR", own or "")
        if own is None:
            monkeypatch.delenv("DS_ACCELERATOR")
        ranks.name_accelerator()
        assert os.environ["DS_ACCELERATOR"] == expected
