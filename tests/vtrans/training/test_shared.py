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
    return SharedStages(tmp_path / "stages", {"data": "a"})


@pytest.mark.parametrize(
    ("first", "second", "taken", "own"),
    [
        (FASTER, LONGER, ["1-prune"], {"2-tunescales": 15}),
        (FASTER, FASTER, ["1-prune", "2-tunescales"], {}),
        (METHODS["VTrans"], replace(METHODS["VTrans"], recover=LONGER.recover), ["0-prune"], {"2-recover": 15}),
    ],
)
def test_a_run_takes_the_stages_it_begins_with_and_ends_bit_equal(tmp_path, stages, first, second, taken, own):
    alone, before = Run(second, tmp_path / "alone", None), Run(first, tmp_path / "first", stages)
    after = Run(second, tmp_path / "second", stages)
    assert after.equals(alone)
    assert after.trained == own and sum(alone.trained.values()) > sum(after.trained.values())
    assert "shared" not in before.report and after.report["shared"] == taken
    for label in taken:  # what it has cost stays in the account
        assert after.elapsed[label] == before.elapsed[label] and after.flops[label] == before.flops[label]
        logs = [(run.folder / f"{label}.jsonl").read_text() for run in (before, after)]
        assert logs[0] == logs[1] != ""


@pytest.mark.parametrize("other", [{"data": "b"}, {"data": "a", "code": "c"}])
def test_another_start_shares_nothing(tmp_path, stages, other):
    Run(FASTER, tmp_path / "first", stages)
    second = Run(FASTER, tmp_path / "second", SharedStages(stages.folder, other))
    assert "shared" not in second.report and len(second.trained) == 2


def test_another_field_of_an_earlier_stage_shares_nothing(tmp_path, stages):
    Run(FASTER, tmp_path / "first", stages)
    second = Run(replace(FASTER, fraction=0.6), tmp_path / "second", stages)  # of the stage before pruning
    assert "shared" not in second.report and len(second.trained) == 2


def test_a_checkpoint_of_its_own_comes_first(tmp_path, stages):
    Run(FASTER, tmp_path / "first", stages)
    (tmp_path / "second").mkdir()
    shutil.copy(tmp_path / "first" / "1-prune.ckpt", tmp_path / "second")
    assert Run(FASTER, tmp_path / "second", stages).report["shared"] == ["2-tunescales"]


def test_large_checkpoints_are_not_kept(tmp_path, stages, monkeypatch):
    monkeypatch.setattr(shared, "LIMIT", 1000)
    Run(FASTER, tmp_path / "first", stages)
    assert not stages.folder.exists()


def test_a_damaged_one_is_removed_and_made_again(tmp_path, stages):
    first = Run(FASTER, tmp_path / "first", stages)
    for path in stages.folder.glob("*.ckpt"):
        path.write_bytes(path.read_bytes()[:100])
    second = Run(FASTER, tmp_path / "second", stages)
    assert second.equals(first) and "shared" not in second.report
    assert Run(FASTER, tmp_path / "third", stages).report["shared"] == ["1-prune", "2-tunescales"]


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
