"""Records: strict, atomic, never overwritten when complete; corrupt ones are set aside and named."""

import json
import mmap
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from made_records import make_record

from benchmark.common.files import check_writable, write_atomically
from benchmark.grid.cells import plan
from benchmark.records.memory import PeakMemory
from benchmark.records.predictions import read_predictions
from benchmark.records.store import Store, read_record
from vtrans.errors import SuiteError
from vtrans.locks import locked


@pytest.fixture
def cell():
    return plan("glue", "quick", ["VTrans-s60"])[0]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "glue", "quick")


def test_round_trip(store, cell):
    record = make_record(cell)
    path = store.write(cell, record)
    assert store.read(cell) == record.sealed()
    assert path.parent == store.runs
    assert cell.key in path.name


def test_complete_records_are_never_replaced(store, cell):
    store.write(cell, make_record(cell, accuracy=80.0))
    store.write(cell, make_record(cell, accuracy=90.0))
    assert store.read(cell).outcome.metrics == {"accuracy": 80.0}


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_other_records_give_way(store, cell, status):
    store.write(cell, make_record(cell, status=status))
    assert store.state(cell) == status
    assert not store.complete([cell])
    store.write(cell, make_record(cell))
    fresh = Store(store.folder.parents[1], "glue", "quick")
    assert fresh.state(cell) == "done"


def test_states(tmp_path, cell):
    assert Store(tmp_path, "glue", "quick").state(cell) == "missing"
    store = Store(tmp_path, "glue", "quick")
    path = store.write(cell, make_record(cell))
    assert store.state(cell) == "done"
    path.rename(path.with_name(path.name.replace(cell.key, "0" * 16)))
    assert Store(tmp_path, "glue", "quick").state(cell) == "stale"


@pytest.mark.parametrize("text", ["{", "[]", '{"schema_version": 2, "key": 3}', "\x00\xff"])
def test_corrupt_record_is_set_aside_and_named(store, cell, text):
    path = store.write(cell, make_record(cell))
    path.write_text(text)
    with pytest.raises(SuiteError, match="it is now .*corrupt"):
        store.read(cell)
    assert path.with_suffix(".corrupt").exists()
    assert store.read(cell) is None


def test_unknown_field_is_refused(store, cell):
    path = store.write(cell, make_record(cell))
    path.write_text(json.dumps({**json.loads(path.read_text()), "extra": 1}))
    with pytest.raises(SuiteError, match="extra"):
        read_record(path)


def test_foreign_record_and_foreign_schema(store, cell):
    other = plan("glue", "quick", ["VTrans-s95"])[0]
    path = store.write(cell, make_record(cell))
    path.write_text(make_record(other).model_dump_json())
    with pytest.raises(SuiteError, match="record of another run"):
        store.read(cell)
    path.write_text(json.dumps({"schema_version": 99}))
    with pytest.raises(SuiteError, match="schema 99"):
        store.read(cell)
    assert path.exists()


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_atomically(path, "old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("benchmark.common.files.os.fsync", full)
    with pytest.raises(SuiteError, match="cannot write .*record.json: No space left.*; free some space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


def test_a_claimed_cell_is_left_to_its_owner(store, cell):
    with locked(store.work(cell), wait=False) as mine, locked(store.work(cell), wait=False) as theirs:
        assert mine and not theirs
    with locked(store.work(cell), wait=False) as again:
        assert again


FIXTURES = Path(__file__).parent / "fixtures"


def test_a_record_of_schema_1_is_refused_with_what_to_do():
    (path,) = (FIXTURES / "schema1").glob("*.json")
    with pytest.raises(SuiteError, match="has schema 1, not 2; move it away and run again"):
        read_record(path)


@pytest.fixture
def schema2(tmp_path):
    """The record of a real run, and its predictions, that tests may damage."""
    for path in (FIXTURES / "schema2").iterdir():
        shutil.copy(path, tmp_path)
    (record,) = tmp_path.glob("*.json")
    return record


def test_a_record_of_schema_2_is_read_and_its_accuracy_follows_from_its_predictions(schema2):
    record = read_record(schema2)
    found = read_predictions(schema2, record.outcome.predictions)
    hits = found["prediction"] == found["reference"]
    assert len(hits) == record.data.evaluation_rows
    assert 100 * hits.mean() == pytest.approx(record.outcome.metrics["accuracy"], abs=1e-3)
    assert record.outcome.compute.precision == {"0-finetune": "bf16"}
    assert 0 < record.outcome.compute.utilisation < 1


def test_an_accuracy_altered_in_a_record_is_found(schema2):
    text = schema2.read_text()
    schema2.write_text(text.replace('"accuracy": 56.', '"accuracy": 96.'))
    with pytest.raises(SuiteError, match="was changed after it was written"):
        read_record(schema2)


def test_missing_and_changed_predictions_are_found(schema2):
    (predictions,) = schema2.parent.glob("*.safetensors")
    content = bytearray(predictions.read_bytes())
    content[-1] ^= 1
    predictions.write_bytes(content)
    with pytest.raises(SuiteError, match="predictions of .* were changed"):
        read_record(schema2)
    predictions.unlink()
    with pytest.raises(SuiteError, match="predictions of .* are missing"):
        read_record(schema2)


def test_peak_memory_is_that_since_it_was_asked_for():
    before = PeakMemory()
    with mmap.mmap(-1, 200_000_000) as block:  # of its own: what malloc gives may have been resident before
        block.write(b"x" * 200_000_000)
        high = before.host()
    after = PeakMemory().host()
    if high is not None:  # where the system can tell
        assert after < high - 100_000_000


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import numpy as np
from pathlib import Path
from made_records import make_record
from benchmark.common import files
from benchmark.grid.cells import plan
from benchmark.records.predictions import write_predictions
from benchmark.records.store import Store
cell = plan("glue", "small", ["dense"], ["sst2"], [0])[0]
store = Store(Path({folder!r}), "glue", "small")
left = [{writes}]
def killed(fd):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
files.os.fsync = killed
kept = write_predictions(store.path(cell), {{"prediction": np.arange(5)}})
record = make_record(cell)
store.write(cell, record.model_copy(update={{"outcome": record.outcome.model_copy(update={{"predictions": kept}})}}))
"""


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_a_process_killed_while_it_writes_leaves_a_whole_record_or_none(tmp_path, writes):
    code = KILLED.format(tests=str(Path(__file__).parents[2]), folder=str(tmp_path), writes=writes)
    done = subprocess.run([sys.executable, "-c", code], check=False)
    cell = plan("glue", "small", ["dense"], ["sst2"], [0])[0]
    store = Store(tmp_path, "glue", "small")
    assert done.returncode == (-signal.SIGKILL if writes < 3 else 0)
    assert store.state(cell) == ("missing" if writes < 3 else "done")
    if writes < 3:  # the next run writes both anew
        code = KILLED.format(tests=str(Path(__file__).parents[2]), folder=str(tmp_path), writes=99)
        subprocess.run([sys.executable, "-c", code], check=True)
        assert read_record(store.path(cell)).status == "complete"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    def refused(*arguments, **named):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("benchmark.common.files.tempfile.TemporaryFile", refused)
    with pytest.raises(SuiteError, match="cannot write to .*: Read-only file system; name a folder"):
        check_writable(tmp_path / "new")
    assert not (tmp_path / "new").exists()
