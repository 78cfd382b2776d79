"""A preset that runs in seconds on a tiny model."""

import pytest
from command import call

from benchmark.grid import suites as presets
from benchmark.measure import latency
from benchmark.models import prepare
from benchmark.models import registry as models
from vtrans.settings import Schedule, Schedules

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

FAST = {
    "CoFi.gates.rates.odds": "0.3",
    "CoFi.constraint.rate": "0.05",
    "CoFi.constraint.quadratic": "100",
    "CoFi.constraint.warmup": "0.4",
    "PoWER-BERT.rate": "0.3",
    "PoWER-BERT.penalty": "0.05",
    "Fast-VTrans.fraction": "0.5",
    "Faster-VTrans.fraction": "0.5",
}


@pytest.fixture
def tiny_preset(monkeypatch, model_dir):
    """Registers the preset `tiny`: rows of every kind on SST-2-like data."""
    preset = presets.Preset(
        name="tiny",
        summary="for tests",
        model="tiny",
        tasks=("sst2", "mrpc"),
        seeds=(0, 1),
        max_length=16,
        evaluation_precision="fp32",
        schedules=lambda task: Schedules(*[SCHEDULE] * 5, tokens=SCHEDULE, token_search=SCHEDULE),
        settings=FAST,
    )
    monkeypatch.setitem(presets.SUITES["glue"].presets, "tiny", preset)  # shared with `ablations`
    monkeypatch.setitem(presets.SUITES["glue"].rows, "tiny", ROWS)
    monkeypatch.setitem(presets.SUITES["ablations"].rows, "tiny", ("VTrans-s50+Infor-Coef-no-norm",))
    monkeypatch.setitem(
        models.MODELS, "tiny", models.ModelSpec("tiny", models.Shape(2, 24, 32, 18, 300), note="made in a test")
    )
    monkeypatch.setattr(prepare, "locate", lambda spec: model_dir)
    monkeypatch.setattr(latency, "TIMED", 4)
    return preset


@pytest.fixture
def cli_call(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: call(monkeypatch, capsys, *arguments)
