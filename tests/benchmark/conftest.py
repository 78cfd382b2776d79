"""A preset that runs in seconds on a tiny model."""

import pytest

from baselines.cofi import HardConcreteGates
from benchmark import bench, models, presets
from benchmark.methods import Phases
from vtrans.settings import Constraint, GateRates, Schedule

SCHEDULE = Schedule(steps=8, batch=8, lr=1e-3, precision="fp32")
ROWS = ("dense", "random-s50", "CoFi-s50", "VTrans-s50", "Faster-VTrans-s50")


@pytest.fixture
def tiny_preset(monkeypatch, model_dir):
    """Registers the preset `tiny`: rows of every kind on SST-2-like data."""
    fast = {"CoFi": {"gates": HardConcreteGates(rates=GateRates(0.3)), "constraint": Constraint()}}
    for name in ("Fast-VTrans", "Faster-VTrans"):
        fast[name] = {"fraction": 0.5}
    preset = presets.Preset(
        name="tiny",
        summary="for tests",
        model="tiny",
        tasks=("sst2", "mrpc"),
        seeds=(0, 1),
        rows=ROWS,
        max_length=16,
        phases=lambda task: Phases(SCHEDULE, SCHEDULE, SCHEDULE, SCHEDULE, SCHEDULE),
        overrides=fast,
    )
    monkeypatch.setitem(presets.PRESETS, "tiny", preset)
    monkeypatch.setitem(models.MODELS, "tiny", models.ModelSpec("tiny", note="made in a test"))
    monkeypatch.setattr(bench, "locate", lambda spec: model_dir)
    return preset
