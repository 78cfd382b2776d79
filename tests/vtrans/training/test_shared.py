"""Ended stages that other runs begin with: taken as from an own checkpoint, and only where all before is the same."""

import errno
import shutil
from dataclasses import replace

import pytest
import torch
from jobs import METHODS, SCHEDULE, new_state

from vtrans.training import shared
from vtrans.training.loop import RunContext
from vtrans.training.shared import SharedStages

FASTER = METHODS["Faster-VTrans"]
LONGER = replace(FASTER, recover=replace(SCHEDULE, steps=15))


class Run:
    """A run in a folder of its own: its weights, its report, and the stages whose steps it made."""

    def __init__(self, method, folder, stages) -> None:
        self.folder, self.trained = folder, dict[str, int]()

        def count(label: str, step: int, total: int, numbers: dict) -> None:
            self.trained[label] = self.trained.get(label, 0) + 1

        state = new_state(RunContext(folder, count, shared=stages))
        self.weights, self.report = method.compress(state).state_dict(), state.report
        self.elapsed, self.flops = state.run_context.elapsed, state.run_context.flops

    def equals(self, other: "Run") -> bool:
        return self.weights.keys() == other.weights.keys() and all(
            torch.equal(value, other.weights[name]) for name, value in self.weights.items()
        )


@pytest.fixture
def stages(tmp_path):
    return SharedStages(tmp_path / "stages", lambda: {"data": "a"})


@pytest.mark.parametrize(
    ("first", "second", "taken", "own"),
    [
        (FASTER, LONGER, ["1-prune"], {"2-tunescales": 15}),
        (FASTER, FASTER, ["1-prune", "2-tunescales"], {}),
    ],
)
def test_a_run_takes_the_stages_it_begins_with_and_ends_bit_equal(tmp_path, stages, first, second, taken, own):
    alone, before = Run(second, tmp_path / "alone", None), Run(first, tmp_path / "first", stages)
    after = Run(second, tmp_path / "second", stages)
    assert after.equals(alone)
    assert after.trained == own and sum(alone.trained.values()) > sum(after.trained.values())
    assert "shared" not in before.report and after.report["shared"] == dict.fromkeys(taken, "first")
    for label in taken:  # what it has cost stays in the account
        assert after.elapsed[label] == before.elapsed[label] and after.flops[label] == before.flops[label]
        logs = [(run.folder / f"{label}.jsonl").read_text() for run in (before, after)]
        assert logs[0] == logs[1] != ""


@pytest.mark.parametrize("other", [{"data": "b"}, {"data": "a", "code": "c"}])
def test_another_start_shares_nothing(tmp_path, stages, other):
    Run(FASTER, tmp_path / "first", stages)
    second = Run(FASTER, tmp_path / "second", SharedStages(stages.folder, lambda: other))
    assert "shared" not in second.report and len(second.trained) == 2


def test_another_field_of_an_earlier_stage_shares_nothing(tmp_path, stages):
    Run(FASTER, tmp_path / "first", stages)
    second = Run(replace(FASTER, fraction=0.6), tmp_path / "second", stages)  # of the stage before pruning
    assert "shared" not in second.report and len(second.trained) == 2


def test_a_checkpoint_of_its_own_comes_first(tmp_path, stages):
    Run(FASTER, tmp_path / "first", stages)
    (tmp_path / "second").mkdir()
    shutil.copy(tmp_path / "first" / "1-prune.ckpt", tmp_path / "second")
    assert Run(FASTER, tmp_path / "second", stages).report["shared"] == {
        "1-prune": "first",  # whose checkpoint that is
        "2-tunescales": "first",
    }


def test_stages_that_train_weights_are_not_kept(tmp_path, stages):
    Run(METHODS["VTrans"], tmp_path / "first", stages)
    assert not stages.folder.exists()


def test_the_oldest_make_room(tmp_path, stages, monkeypatch):
    monkeypatch.setattr(shared, "MOST", 1)
    Run(FASTER, tmp_path / "first", stages)
    assert Run(LONGER, tmp_path / "second", stages).trained == {"1-prune": 12, "2-tunescales": 15}
    assert len(list(stages.folder.iterdir())) == 2


class Stopped(Exception):
    pass


def test_what_was_begun_elsewhere_or_under_another_start_is_not_kept(tmp_path, stages):
    """As where the code has changed between a stop and going on: the checkpoint is that of the older code."""

    def stop(label: str, step: int, total: int, numbers: dict) -> None:
        if step == 6:
            raise Stopped

    context = RunContext(tmp_path / "run", stop, every=0.0, shared=SharedStages(stages.folder, lambda: {"code": "old"}))
    with pytest.raises(Stopped):
        FASTER.compress(new_state(context))
    assert Run(FASTER, tmp_path / "run", stages).trained["1-prune"] < 12
    assert "1-prune" not in Run(FASTER, tmp_path / "other", stages).report["shared"]


def test_a_run_that_took_a_stage_says_so_after_a_stop_too(tmp_path, stages):
    Run(FASTER, tmp_path / "first", stages)

    def stop(label: str, step: int, total: int, numbers: dict) -> None:
        if label == "2-tunescales" and step == 6:
            raise Stopped

    with pytest.raises(Stopped):
        LONGER.compress(new_state(RunContext(tmp_path / "second", stop, shared=stages)))
    assert Run(LONGER, tmp_path / "second", stages).report["shared"] == {"1-prune": "first"}


def test_the_precision_is_that_of_the_steps(tmp_path, stages, monkeypatch):
    Run(FASTER, tmp_path / "first", stages)
    monkeypatch.setattr("vtrans.training.loop.resolve", lambda *_: "bf16")  # in which no step is made
    context = RunContext(tmp_path / "second", shared=stages)
    FASTER.compress(new_state(context))
    assert context.precisions == {"1-prune": "fp32", "2-tunescales": "fp32"}


def test_a_damaged_one_is_made_again(tmp_path, stages):
    first = Run(FASTER, tmp_path / "first", stages)
    for path in stages.folder.glob("*.ckpt"):
        path.write_bytes(path.read_bytes()[:100])
    second = Run(FASTER, tmp_path / "second", stages)
    assert second.equals(first) and "shared" not in second.report
    assert Run(FASTER, tmp_path / "third", stages).report["shared"] == {"1-prune": "second", "2-tunescales": "second"}


def test_a_full_disk_costs_nothing_but_the_sharing(tmp_path, stages, monkeypatch):
    def full(source, target) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shared.shutil, "copyfile", full)
    Run(FASTER, tmp_path / "first", stages)
    assert list(stages.folder.iterdir()) == []
    monkeypatch.undo()
    first = Run(FASTER, tmp_path / "again", stages)
    monkeypatch.setattr(shared.shutil, "copyfile", full)
    second = Run(FASTER, tmp_path / "second", stages)
    assert second.equals(first) and "shared" not in second.report
    assert not [path for path in (tmp_path / "second").iterdir() if path.suffix == ".part"]


def test_a_folder_that_cannot_be_made_costs_nothing_but_the_sharing(tmp_path):
    (tmp_path / "file").write_text("")
    stages = SharedStages(tmp_path / "file" / "stages", dict)
    assert Run(FASTER, tmp_path / "first", stages).equals(Run(FASTER, tmp_path / "second", stages))
