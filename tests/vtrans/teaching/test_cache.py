"""Outputs of a teacher that are kept equal those of the running teacher, whatever happened to the files."""

import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import tiny_bert, tiny_examples, tiny_llama

from vtrans.data.examples import Batches, padded_width
from vtrans.data.windows import Windows
from vtrans.teaching.cache import CacheRequest, CacheUnavailable, TeacherCache
from vtrans.teaching.outputs import RunningTeacher, StoredTeacher
from vtrans.teaching.stored import ExamplesWithTeacher
from vtrans.teaching.teacher import Teacher

LAYERS = (1, 3)


def wanted(rows=None, precision="fp32", seed=0):
    examples = tiny_examples()
    teacher = Teacher(tiny_bert(seed=seed))
    return CacheRequest(teacher.digest, examples, rows or range(len(examples)), LAYERS, precision)


class Counted(RunningTeacher):
    """A teacher that counts the rows that it was run on."""

    def __init__(self, seed=0, layers=LAYERS):
        super().__init__(tiny_bert(seed=seed), layers)
        self.rows = 0

    def __call__(self, batch):
        self.rows += len(batch["input_ids"])
        return super().__call__(batch)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_batch_carries_what_the_running_teacher_gives(tmp_path):
    teacher, want = Counted(), wanted()
    stored = TeacherCache(tmp_path).obtain(want, teacher)
    taught = ExamplesWithTeacher(want.examples, stored)
    for rows in (Batches(want.examples.lengths, 7, 0)[step] for step in range(4)):
        width = padded_width([want.examples.lengths[row] for row in rows], 99)
        batch = taught.batch(rows, width)
        ours, theirs = StoredTeacher(LAYERS, 24, 3)(batch), teacher(want.examples.batch(rows, width))
        assert ours.states[LAYERS[0]].shape[1] == batch["input_ids"].shape[1] == width
        torch.testing.assert_close(ours.logits["logits"], theirs.logits["logits"], atol=1e-5, rtol=1e-5)
        real = batch["attention_mask"].bool()
        for layer in LAYERS:
            half = theirs.states[layer][real]
            torch.testing.assert_close(ours.states[layer][real].float(), half, atol=1e-3, rtol=1e-3)
            assert ours.states[layer].dtype == torch.float16


def test_bf16_states_are_kept_as_they_are(tmp_path):
    examples, model = tiny_examples(), tiny_bert().bfloat16()
    want = CacheRequest("x", examples, range(len(examples)), LAYERS, "bf16")
    teacher = RunningTeacher(model, LAYERS)
    stored = TeacherCache(tmp_path).obtain(want, teacher)
    rows = [row for batch in want.batches() for row in batch][:64]  # as they were computed
    states = StoredTeacher(LAYERS, 24, 3)(ExamplesWithTeacher(examples, stored).batch(rows)).states
    mask = examples.batch(rows)["attention_mask"].bool()
    theirs = teacher(examples.batch(rows)).states
    assert all(torch.equal(states[layer][mask], theirs[layer][mask]) for layer in LAYERS)


def test_logits_of_every_token_are_kept_for_a_language_model(tmp_path):
    windows = Windows.of(list(range(10, 58)), 8, 0)
    teacher = RunningTeacher(tiny_llama(), ())
    stored = TeacherCache(tmp_path).obtain(CacheRequest("x", windows, range(len(windows)), (), "fp32"), teacher)
    found = StoredTeacher((), 24, 3)(ExamplesWithTeacher(windows, stored).batch([2, 0])).logits["logits"]
    torch.testing.assert_close(found, teacher(windows.batch([2, 0])).logits["logits"], atol=1e-5, rtol=1e-5)


def test_outputs_are_computed_once_and_only_for_the_rows_that_are_asked_for(tmp_path):
    teacher, cache, rows = Counted(), TeacherCache(tmp_path), [3, 5, 8, 21]
    cache.obtain(wanted(rows), teacher)
    once = teacher.rows
    stored = cache.obtain(wanted(rows), teacher)
    assert once == teacher.rows == len(rows) + 1  # one more, to see what there is
    assert sorted(stored.place) == rows and len(cache.entries()) == 1
    assert TeacherCache(tmp_path / "other").entries() == {}


def test_another_teacher_other_rows_layers_or_precision_are_other_outputs(tmp_path):
    keys = [
        wanted(),
        wanted([1, 2]),
        wanted([1, 3]),
        wanted(seed=1),
        replace(wanted(), layers=(1,)),
        wanted(precision="bf16"),
    ]
    cache = TeacherCache(tmp_path)
    for want in keys:
        cache.obtain(want, Counted(layers=want.layers))
    assert len(cache.entries()) == len(keys)


@pytest.mark.parametrize("harm", ["cut", "change", "meta", "keyless", "other", "gone"])
def test_what_is_damaged_is_named_and_made_anew(tmp_path, harm, caplog):
    cache, want = TeacherCache(tmp_path), wanted()
    cache.obtain(want, Counted())
    entry = next(iter(cache.entries()))
    before = contents(entry)
    states, meta = entry / "states.bin", entry / "meta.json"
    if harm == "cut":
        states.write_bytes(states.read_bytes()[:-2])
    elif harm == "change":
        states.write_bytes(bytes([states.read_bytes()[0] ^ 1]) + states.read_bytes()[1:])
    elif harm == "meta":
        meta.write_text(meta.read_text()[:50])
    elif harm == "keyless":
        meta.write_text('{"layout": {}, "sha256": []}')
    elif harm == "other":
        meta.write_text(meta.read_text().replace(want.teacher, "0" * 64))
    else:
        states.unlink()
    teacher = Counted()
    cache.obtain(want, teacher)
    assert teacher.rows > len(want.examples) and contents(entry) == before
    assert str(entry) in caplog.text and "anew" in caplog.text


def test_a_killed_build_leaves_nothing_that_is_used_and_ends_bit_equal(tmp_path):
    script = (
        "import os, sys; sys.path[:0] = sys.argv[2:]\n"
        "import test_cache as t; from vtrans.teaching.cache import TeacherCache\n"
        "t_ = t.Counted(); run = type(t_).__call__\n"
        "import vtrans.teaching.cache as c; c.BATCH = 8\n"
        "def die(self, batch):\n"
        "    if self.rows > 20: os.kill(os.getpid(), 9)\n"
        "    return run(self, batch)\n"
        "type(t_).__call__ = die\n"
        "from pathlib import Path; TeacherCache(Path(sys.argv[1])).obtain(t.wanted(), t_)\n"
    )
    here = Path(__file__)
    folders = [str(here.parent), str(here.parents[2]), str(here.parents[3])]
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "killed"), *folders], capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()
    assert list((tmp_path / "killed").glob("*.part"))
    for name in ("killed", "whole"):
        TeacherCache(tmp_path / name).obtain(wanted(), Counted())
    killed, whole = (next(iter(TeacherCache(tmp_path / n).entries())) for n in ("killed", "whole"))
    assert contents(killed) == contents(whole)


def test_of_two_that_ask_at_once_one_computes(tmp_path):
    teachers = [Counted(), Counted()]
    ask = [threading.Thread(target=TeacherCache(tmp_path).obtain, args=(wanted(), teacher)) for teacher in teachers]
    for thread in ask:
        thread.start()
    for thread in ask:
        thread.join()
    assert sorted(bool(teacher.rows) for teacher in teachers) == [False, True]


def test_what_was_used_least_recently_makes_room_and_what_is_too_large_is_refused(tmp_path):
    size = TeacherCache(tmp_path / "size").obtain(wanted(), Counted()).layout.bytes
    cache = TeacherCache(tmp_path / "cache", cap=int(size * 2.2))
    for seed in (0, 1, 2):
        cache.obtain(wanted(seed=seed), Counted(seed))
    teacher = Counted(1)
    cache.obtain(wanted(seed=1), teacher)
    assert len(cache.entries()) == 2 and not teacher.rows
    with pytest.raises(CacheUnavailable, match="allowed"):
        TeacherCache(tmp_path / "none", cap=100).obtain(wanted(), Counted())
    assert cache.clear() > size and not cache.folder.exists()


def test_a_folder_that_cannot_be_written_and_a_full_disk_are_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheUnavailable, match="file"):
        TeacherCache(tmp_path / "file").obtain(wanted(), Counted())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10}))
    with pytest.raises(CacheUnavailable, match="free"):
        TeacherCache(tmp_path / "full").obtain(wanted(), Counted())
    assert not list((tmp_path / "full").glob("*.part"))


def test_states_that_do_not_fit_are_refused(tmp_path):
    class Loud(Counted):
        def __call__(self, batch):
            found = super().__call__(batch)
            return replace(found, states={layer: 1e6 * state for layer, state in found.states.items()})

    with pytest.raises(CacheUnavailable, match="float16"):
        TeacherCache(tmp_path).obtain(wanted(), Loud())


def test_only_what_is_its_own_is_removed(tmp_path):
    cache = TeacherCache(tmp_path)
    cache.obtain(wanted(), Counted())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model").write_text("precious")
    cache.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_what_others_are_writing_counts(tmp_path):
    size = TeacherCache(tmp_path / "size").obtain(wanted(), Counted()).layout.bytes
    part = tmp_path / "cache" / "0123456789abcdef.part"
    cache = TeacherCache(tmp_path / "cache", cap=int(size * 1.5))

    class Meanwhile(Counted):
        def __call__(self, batch):
            if not self.rows:  # another process has begun
                part.mkdir(parents=True)
                (part / "reserved").write_text(str(size))
            return super().__call__(batch)

    with pytest.raises(CacheUnavailable, match="others are making"):
        cache.obtain(wanted(), Meanwhile())


def test_a_teacher_of_another_config_is_another_one():
    first, second = tiny_bert(), tiny_bert()
    second.config.hidden_act = "relu"
    assert Teacher(first).digest != Teacher(second).digest


def test_a_file_system_without_locks_has_no_cache(tmp_path, monkeypatch):
    def refuse(stream, how):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(CacheUnavailable, match="cannot be locked"):
        TeacherCache(tmp_path).obtain(wanted(), Counted())
