"""The memory estimate: against parameters counted, and what each setting does to it."""

import pytest
from tiny import tiny_gpt2, tiny_llama
from transformers import LlamaConfig

from benchmark.grid.sharded import estimate
from benchmark.models.registry import GIB
from benchmark.runs.memory import check_memory_fits, shape_of
from vtrans.errors import SuiteError
from vtrans.settings import Sharding


@pytest.mark.parametrize("make", [tiny_gpt2, tiny_llama])
def test_whole_weights_are_the_models_parameters(make):
    model = make(vocab_size=500)
    need = estimate(shape_of(model.config), Sharding(stage=2), 1, 1, 8, width=4)
    assert need.parts["weights"] / 4 == pytest.approx(sum(p.numel() for p in model.parameters()), rel=0.08)


def test_llama_2_7b_by_hand():
    need = estimate(shape_of(LlamaConfig()), Sharding(stage=2), 1, 1, 512)
    assert need.parts["weights"] == pytest.approx(2 * 6_738_415_616, rel=1e-3)
    assert need.parts["logits"] == 3 * 512 * 32000 * 4
    assert need.total == sum(need.parts.values())


def test_ranks_offload_and_checkpointing_need_less():
    config = shape_of(LlamaConfig())
    base = estimate(config, Sharding(stage=3), 2, 1, 512)
    assert estimate(config, Sharding(stage=3), 8, 1, 512).total < base.total
    assert estimate(config, Sharding(stage=3, offload="cpu"), 2, 1, 512).total < base.total
    on_host = [estimate(config, Sharding(3, place), 2, 1, 512, on_host=True).total for place in ("", "cpu", "/disk")]
    assert on_host[0] == on_host[1] == base.total > on_host[2]
    assert estimate(config, Sharding(stage=3, checkpointing=True), 2, 1, 512).total < base.total
    assert base.total < estimate(config, Sharding(stage=2), 2, 1, 512).total
    assert estimate(config, Sharding(stage=3), 2, 2, 512).total > base.total


def test_too_little_memory_is_said_before_anything_is_loaded():
    need = estimate(shape_of(LlamaConfig()), Sharding(stage=2), 1, 1, 512)
    check_memory_fits(need, 24 * GIB, Sharding(stage=2))
    with pytest.raises(
        SuiteError,
        match=r"needs 17\.\d GiB and has 8\.0; try --zero-stage 3, --offload cpu or FOLDER, --gradient-checkpointing",
    ):
        check_memory_fits(need, 8 * GIB, Sharding(stage=2))
