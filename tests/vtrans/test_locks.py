"""Locks hold one folder for one process at a time."""

import fcntl

from vtrans.locks import locked


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
