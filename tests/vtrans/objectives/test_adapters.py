"""Adapters beside a model: nothing at the start, and merged into files they give what they gave beside it."""

import pytest
import torch
from tiny import DECODERS, inputs, random_decision

from vtrans.data.windows import Windows
from vtrans.methods.adapters import projections
from vtrans.objectives.adapters import LoraAdapters, LoraObjective, merge_files
from vtrans.objectives.distillation import Distiller
from vtrans.pruning.surgery import materialise
from vtrans.saving.pruned import load_pruned, save_pruned
from vtrans.settings import Distillation, Schedule
from vtrans.training.loop import RunContext, fit


def pruned(family):
    model = DECODERS[family]()
    return materialise(model, random_decision(model, 2, 1.0)).eval()


def beside(model, seed: int = 0) -> LoraAdapters:
    torch.manual_seed(seed)
    return LoraAdapters(model, projections(model), rank=3, alpha=6, dropout=0.0)


@pytest.mark.parametrize("family", DECODERS)
def test_adapters_add_nothing_at_the_start_and_leave_nothing_behind(family):
    model = pruned(family)
    adapters = beside(model)
    with torch.no_grad():
        plain = model(**inputs()).logits
        with adapters.attached(model):
            assert torch.equal(model(**inputs()).logits, plain)
            for matrix in adapters.lora_b:
                torch.nn.init.normal_(matrix)
            assert not torch.allclose(model(**inputs()).logits, plain)
        assert torch.equal(model(**inputs()).logits, plain)


@pytest.mark.parametrize("family", DECODERS)
def test_merged_equals_beside(family, tmp_path):
    model = pruned(family)
    adapters = beside(model)
    for matrix in adapters.lora_b:
        torch.nn.init.normal_(matrix, std=0.3)
    save_pruned(model, tmp_path / "pruned")
    merge_files(tmp_path / "pruned", adapters, model, tmp_path / "out")
    with torch.no_grad(), adapters.attached(model):
        expected = model(**inputs()).logits
    adapters.merge_into(model)
    with torch.no_grad():
        for merged in (load_pruned(tmp_path / "out"), model):
            torch.testing.assert_close(merged(**inputs()).logits, expected, atol=1e-4, rtol=1e-4)


def test_training_moves_the_adapters_alone_and_lowers_the_loss():
    model = pruned("llama")
    text_alone = Distillation(prediction=0.0, layer=0.0, task=1.0)
    distiller = Distiller(None, (24, 3), model, text_alone)
    adapters, windows = beside(model), Windows.of(list(range(5, 55)) * 4, 20, pad=0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    losses = []
    run_context = RunContext(report=lambda stage, step, total, numbers: losses.append(numbers["task"]))
    with adapters.attached(model):
        schedule = Schedule(steps=30, batch=4, lr=3e-2, precision="fp32")
        fit(LoraObjective(model, adapters, distiller), windows, schedule, 0, "adapters", run_context)
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_dropped_elements_are_made_up_for():
    torch.manual_seed(0)
    model = DECODERS["llama"]()
    adapters = LoraAdapters(model, projections(model)[:1], rank=2, alpha=4, dropout=0.25)
    dropped = adapters._drop(torch.ones(8, 50, 100))
    assert sorted(set(dropped.flatten().tolist())) == [0.0, dropped.max().item()]
    assert abs(float((dropped == 0).float().mean()) - 0.25) < 0.01
    assert abs(float(dropped.mean()) - 1) < 0.02
