"""Locks hold one folder for one process at a time."""

import errno
import fcntl

import pytest

from vtrans.locks import NoLocks, locked


def test_a_folder_is_held_once_and_free_again_afterwards(tmp_path):
    (tmp_path / "lock").write_text("kept")
    with locked(tmp_path, wait=False) as first, locked(tmp_path, wait=False) as second:
        assert first and not second
    with locked(tmp_path, wait=False) as again:
        assert again
    assert (tmp_path / "lock").read_text() == "kept"


def test_a_file_that_its_holder_removed_meanwhile_is_no_lock(tmp_path, monkeypatch):
    def removed_first(stream, how, real=fcntl.flock):
        (tmp_path / "lock").unlink()
        (tmp_path / "lock").touch()
        real(stream, how)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    with locked(tmp_path, wait=False) as held:
        assert not held


@pytest.mark.parametrize("wait", [True, False])
def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, wait):
    def refuse(stream, how):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(NoLocks, match="cannot be locked .Function not implemented"), locked(tmp_path, wait):
        pass
