"""One-shot rows: the right units, the right size."""

import dataclasses

import pytest
import torch
from tiny import FAMILIES, tiny_bert, tiny_examples

from baselines.one_shot import Random
from baselines.parts.unit_scores import unit_scores
from vtrans.anatomy import anatomy_of
from vtrans.errors import SuiteError
from vtrans.methods.base import CompressionState
from vtrans.pruning.masks import Masks
from vtrans.pruning.size import Size
from vtrans.pruning.surgery import materialise
from vtrans.settings import Budget, Schedule
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext

SCHEDULE = Schedule(steps=3, batch=8, lr=1e-3, precision="fp32")


def big_enough():
    return tiny_bert(hidden_size=48, intermediate_size=256)


def new_state(seed: int = 0) -> CompressionState:
    teacher = big_enough()
    return CompressionState(Teacher(teacher), tiny_examples(), seed, RunContext())


@pytest.mark.parametrize("score", ["random", "magnitude"])
def test_reaches_its_size_and_touches_heads_and_ffn_only(score):
    work = new_state()
    small = Random(Budget(0.6), SCHEDULE, score).compress(work)
    anatomy, dense = anatomy_of(small), Size.of(work.teacher.model)
    real = 1 - float(Size.of(small).parameters(Size.of(small).dense) / dense.parameters(dense.dense))
    assert real == pytest.approx(0.6, abs=0.01)
    assert anatomy.hidden == 48
    assert len(set(anatomy.heads)) == len(set(anatomy.ffn)) == 1


def test_magnitude_keeps_the_largest():
    model = big_enough()
    layer = model.bert.encoder.layer[1]
    with torch.no_grad():
        layer.output.dense.weight[:, 7] *= 50
        layer.attention.output.dense.weight[:, 24:36] *= 50  # head 2 of four of 12 columns
    heads, ffn = unit_scores(model, anatomy_of(model), "magnitude", None)
    assert int(ffn[1].argmax()) == 7
    assert int(heads[1].argmax()) == 2


def test_random_depends_on_the_seed():
    kept = []
    for seed in (0, 0, 1):
        work = new_state(seed)
        Random(Budget(0.5), SCHEDULE, "random").stages()[0].run(work)
        kept.append(torch.cat(work.decision.ffn))
    assert torch.equal(kept[0], kept[1])
    assert not torch.equal(kept[0], kept[2])


def test_out_of_reach_is_said():
    with pytest.raises(SuiteError, match="out of reach"):
        Random(Budget(0.999), SCHEDULE, "random").compress(new_state())


@pytest.mark.parametrize("family", FAMILIES)
def test_magnitude_is_the_norm_of_what_pruning_a_unit_takes_away(family):
    model = FAMILIES[family]()
    heads, ffn = unit_scores(model, anatomy_of(model), "magnitude", None)
    for site, scores in (("heads", heads), ("ffn", ffn)):
        values = Masks.dense(anatomy_of(model))
        parts = [z.clone() for z in getattr(values, site)]
        parts[1][2 % len(parts[1])] = 0.0
        small = materialise(model, dataclasses.replace(values, **{site: tuple(parts)}))
        block = anatomy_of(model).blocks[1]
        paths = {block.query, block.key, block.value, block.out, *block.up, block.down}
        weights = [[m.get_submodule(path).weight.square().sum() for path in paths] for m in (model, small)]
        gone = float(sum(weights[0]) - sum(weights[1]))
        assert float(scores[1][2 % len(parts[1])]) == pytest.approx(gone, rel=1e-3)
