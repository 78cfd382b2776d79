"""Weights that wait on a disk: folders of each model's own, buffers of its size, and nothing left behind."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from vtrans import ranks
from vtrans.errors import SuiteError
from vtrans.locks import locked
from vtrans.training import disk
from vtrans.training.disk import OWN, Disk, check_disk


@pytest.fixture
def builder(monkeypatch):
    """DeepSpeed's, which finds libaio."""
    builders = pytest.importorskip("deepspeed.ops.op_builder")
    monkeypatch.setattr(builders.AsyncIOBuilder, "is_compatible", lambda self, verbose: True)
    return builders.AsyncIOBuilder


def test_a_disk_that_will_not_do_is_refused_with_a_remedy(builder, monkeypatch, tmp_path):
    check_disk(tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(SuiteError, match=r"cannot write .*file/x: .*; give --offload a folder on a fast disk, or cpu"):
        check_disk(tmp_path / "file" / "x")
    monkeypatch.setattr(builder, "is_compatible", lambda self, verbose: False)
    with pytest.raises(SuiteError, match="without libaio; install libaio-dev .* or give --offload cpu"):
        check_disk(tmp_path)


def test_models_never_share_a_folder(builder, tmp_path):
    first, second = Disk(tmp_path), Disk(tmp_path)
    places = [each.place(8)["nvme_path"] for each in (first, second, first, second)]
    assert len(set(places)) == 4
    assert {Path(place).parents[1] for place in places} == {tmp_path / OWN}


@pytest.mark.parametrize(("count", "size"), [(1, 10), (2, 5), (3, 4)])
def test_a_buffer_holds_a_ranks_part_of_the_largest_tensor(builder, monkeypatch, tmp_path, count, size):
    monkeypatch.setattr(ranks, "world_size", lambda: count)
    assert Disk(tmp_path).place(10)["buffer_size"] == size


def test_buffers_and_files_of_a_model_are_freed_once(builder, tmp_path):
    freed = []
    handle = SimpleNamespace(free_cpu_locked_tensor=freed.append)
    folders = [tmp_path / name for name in "ab"]
    swappers = [
        SimpleNamespace(aio_read_handle=handle, buffers=torch.ones(n), swap_folder=str(f))
        for n, f in enumerate(folders)
    ]
    models = [nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)]
    for model, swapper, folder in zip(models, swappers, folders, strict=False):
        folder.mkdir()
        for weight in model.parameters():
            weight.nvme_swapper = swapper
    Disk(tmp_path).release(models)
    assert [len(buffers) for buffers in freed] == [0, 1]
    assert not any(folder.exists() for folder in folders) and swappers[0].buffers is None


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(builder, tmp_path):
    left, others = tmp_path / OWN / "dead", [tmp_path / name for name in ("mine", "vtrans-weights-of-mine")]
    for folder in (left, *others):
        folder.mkdir(parents=True)
        (folder / "weights").write_text("x")
    (tmp_path / OWN / "a-file").write_text("x")
    living = Disk(tmp_path)
    second = Disk(tmp_path)
    assert not left.exists() and all((folder / "weights").exists() for folder in others)
    for each in (living, second):
        own = Path(each.place(1)["nvme_path"]).parent
        with locked(own, wait=False) as free:
            assert own.exists() and not free


def test_a_folder_that_goes_while_it_is_looked_into_is_no_error(builder, tmp_path, monkeypatch):
    (tmp_path / OWN / "ending").mkdir(parents=True)
    hold = disk.locked

    def gone(folder, wait=True):
        if folder.name == "ending":
            raise FileNotFoundError(folder)
        return hold(folder, wait)

    monkeypatch.setattr(disk, "locked", gone)
    assert Disk(tmp_path).place(1)["device"] == "nvme"
