"""A preset that runs in seconds on a tiny model."""

import pytest

from baselines.cofi import HardConcreteGates
from benchmark.grid import suites as presets
from benchmark.grid.schedules import Schedules
from benchmark.models import prepare
from benchmark.models import registry as models
from vtrans.settings import Constraint, GateRates, Schedule

SCHEDULE = Schedule(steps=8, batch=8, lr=1e-3, precision="fp32")
SHAPE = models.Shape(2, 24, 32, 18, 300)
ROWS = (
    "dense",
    "random-s50",
    "CoFi-s50",
    "VTrans-s50",
    "Faster-VTrans-s50",
    "Transkimmer",
    "PoWER-BERT",
    "VTrans-s50+Infor-Coef",
)


@pytest.fixture
def tiny_preset(monkeypatch, model_dir):
    """Registers the preset `tiny`: rows of every kind on SST-2-like data."""
    fast = {"CoFi": {"gates": HardConcreteGates(rates=GateRates(0.3)), "constraint": Constraint()}}
    fast["PoWER-BERT"] = {"rate": 0.3, "penalty": 0.05}
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
        evaluation_precision="fp32",
        schedules=lambda task: Schedules(*[SCHEDULE] * 5, tokens=SCHEDULE, token_search=SCHEDULE, length=16),
        overrides=fast,
        ablations=("VTrans-s50+Infor-Coef-no-norm",),
    )
    monkeypatch.setitem(presets.SUITES["glue"].presets, "tiny", preset)  # shared with `ablations`
    monkeypatch.setitem(
        models.MODELS, "tiny", models.ModelSpec("tiny", models.Shape(2, 24, 32, 18, 300), note="made in a test")
    )
    monkeypatch.setattr(prepare, "locate", lambda spec: model_dir)
    return preset
