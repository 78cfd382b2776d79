"""What a record says of the code that made it."""

import subprocess

import pytest

from benchmark.records import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with the suite's packages in it, as a clone has them."""
    for part in provenance.PARTS:
        (tmp_path / part).mkdir()
        (tmp_path / part / "code.py").write_text("x = 1\n")
    name = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "."], [*name, "commit", "-qm", "Begin"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    provenance.code.cache_clear()
    yield tmp_path
    provenance.code.cache_clear()


def test_changed_code_is_called_dirty(checkout):
    commit, dirty = provenance.code()
    assert len(commit) == 40 and not dirty
    for change in ("note.md", "vtrans/new.py"):  # neither is a tracked file
        (checkout / change).write_text("")
    provenance.code.cache_clear()
    assert provenance.code() == (commit, False)
    (checkout / "benchmark" / "code.py").write_text("x = 2\n")
    provenance.code.cache_clear()
    assert provenance.code() == (commit, True)


def test_the_packages_lie_in_the_folder_that_git_is_asked_of():
    assert all((provenance.ROOT / part / "__init__.py").exists() for part in provenance.PARTS)
