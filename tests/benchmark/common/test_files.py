"""Writable folders, locks, and a hub that is out of reach."""

import time

import pytest

from benchmark.common import hub
from benchmark.common.files import check_writable
from vtrans.errors import SuiteError
from vtrans.locks import locked


def test_a_check_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(SuiteError, match="cannot write to .*file.*Not a directory"):
        check_writable(tmp_path / "file" / "inside")


def test_one_process_holds_a_folder(tmp_path):
    with locked(tmp_path) as mine, locked(tmp_path, wait=False) as theirs:
        assert mine and not theirs


def test_a_hub_that_is_out_of_reach_is_found_at_once(monkeypatch):
    hub.reachable.cache_clear()
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port: nobody listens
    start = time.monotonic()
    with pytest.raises(SuiteError, match="model x cannot be fetched: the Hugging Face hub is out of reach; do y"):
        hub.refuse_offline("model x", "do y", repository="nobody/nothing")
    assert time.monotonic() - start < 10  # a guard against its client's retries, not a timing
    hub.reachable.cache_clear()
