"""Memory that goes back to the system: what glibc is told, and that a user's own word on it stands."""

from types import SimpleNamespace

import pytest

from vtrans import heap


@pytest.mark.parametrize(("own", "expected"), [(None, [(heap.M_MMAP_THRESHOLD, heap.BLOCK)]), ("4096", [])])
def test_blocks_are_given_back_unless_the_environment_says_something_else(own, expected, monkeypatch):
    told = []
    library = SimpleNamespace(mallopt=lambda option, value: told.append((option, value)))
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: library)
    if own is None:
        monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    else:
        monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", own)
    heap.give_back_blocks()
    assert told == expected


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: SimpleNamespace())
    heap.give_back_blocks()
    heap.trim()
