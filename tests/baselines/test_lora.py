"""Controls with adapters: the units of the method without, weights trained through adapters alone."""

from dataclasses import replace

import pytest
import torch
from tiny import tiny_llama

from baselines.lora import FisherLoRA, MagnitudeLoRA, RandomLoRA
from vtrans.anatomy import Widths
from vtrans.data.windows import Windows
from vtrans.methods.adapters import RecoverLora
from vtrans.methods.base import CompressionState
from vtrans.settings import Budget, Schedule, Schedules, Setting
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext

SCHEDULE = Schedule(steps=30, batch=8, lr=5e-3, precision="fp32")
METHODS = [RandomLoRA, MagnitudeLoRA, FisherLoRA]


def windows() -> Windows:
    ids = torch.randint(5, 60, (600,), generator=torch.Generator().manual_seed(0)).tolist()
    return Windows.of(ids, 15, pad=0)


def compressed(kind, steps: int):
    setting = Setting(Schedules(*[SCHEDULE] * 5), Budget(0.4), "llm", "tiny", "imdb", 15, 3)
    method = kind.build(setting)
    stages = [*method.stages()[:-1], replace(method.stages()[-1], rank=4, alpha=8)] if steps else method.stages()[:-1]
    state = CompressionState(Teacher(tiny_llama()), windows(), 0, RunContext())
    for state.stage, stage in enumerate(stages):
        stage.run(state)
    return state.model.eval()


@pytest.mark.parametrize("kind", METHODS)
def test_adapters_lower_the_loss_of_the_same_units(kind):
    before, after = (compressed(kind, steps) for steps in (0, 30))
    assert Widths.of(before).to_json() == Widths.of(after).to_json()
    assert isinstance(kind.build(Setting(Schedules(*[SCHEDULE] * 5), Budget(0.4))).stages()[-1], RecoverLora)
    batch = windows().batch(range(20))
    with torch.no_grad():
        losses = [float(model(**batch).loss) for model in (before, after)]
    assert losses[1] < losses[0]
    moved = {
        n for (n, a), b in zip(before.named_parameters(), after.parameters(), strict=True) if not torch.equal(a, b)
    }
    assert moved and all("_proj.weight" in name for name in moved)
