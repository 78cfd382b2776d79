"""Engines: settings that are refused, buckets of gradients, and dropout of each rank's own."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import inputs, tiny_bert, tiny_llama
from torch import nn

from vtrans import ranks
from vtrans.errors import SuiteError
from vtrans.settings import Sharding
from vtrans.training import zero
from vtrans.training.engine import BUCKET, LARGE, buckets, drops, own_dropout, sum_gradients
from vtrans.training.zero import configuration, engine_of, join, weights_type


def test_bad_settings_are_refused(monkeypatch):
    with pytest.raises(SuiteError, match="ZeRO stage 1"):
        Sharding(stage=1)  # type: ignore[arg-type]
    with pytest.raises(SuiteError, match="offload under stage 3"):
        Sharding(stage=2, offload="cpu")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    for sharding in (Sharding(0), Sharding(2)):
        with pytest.raises(SuiteError, match="no ranks are set; give `run` --ranks N"):
            engine_of(sharding)
    with pytest.raises(SuiteError, match="no ranks are set"):
        join()


@pytest.mark.parametrize(("offload", "device"), [("", None), ("cpu", "cpu"), ("folder", "nvme")])
def test_shards_wait_where_they_are_told_to(offload, device, monkeypatch, tmp_path):
    pytest.importorskip("deepspeed")
    monkeypatch.setattr(zero, "connect", lambda: None)
    monkeypatch.setattr("vtrans.training.disk.check_disk", lambda folder: None)
    engine = zero.ZeroEngine(Sharding(3, str(tmp_path) if offload == "folder" else offload))
    there = engine._offload(8)
    assert (there and there["device"]) == device
    assert configuration(3, offload=there)["zero_optimization"].get("offload_param") == there


def test_buffers_keep_their_type_where_weights_are_cast():
    model, frequencies = tiny_llama(), tiny_llama().model.rotary_emb.inv_freq
    with zero.buffer_types_kept(model):
        model.bfloat16()
    assert model.lm_head.weight.dtype == torch.bfloat16
    assert torch.equal(model.model.rotary_emb.inv_freq, frequencies)


@pytest.mark.parametrize(("device", "reuse"), [("cpu", 8), ("nvme", 0)])
def test_what_comes_from_a_disk_is_not_kept_for_its_next_use(device, reuse):
    found = configuration(3, live=8, offload={"device": device})["zero_optimization"]
    assert found["stage3_max_reuse_distance"] == reuse and found["stage3_max_live_parameters"] == 8


@pytest.mark.parametrize("stage", [2, 3])
@pytest.mark.parametrize(("cuda", "units"), [(True, True), (True, False), (False, True)])
def test_frozen_weights_are_bf16_on_gpus_with_units_for_it(stage, cuda, units, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(zero, "has_bf16_units", lambda kind: units)
    assert configuration(stage)["bf16"] == {"enabled": cuda and units}
    assert weights_type() == (torch.bfloat16 if cuda and units else torch.float32)


@given(st.lists(st.integers(1, BUCKET), max_size=12), st.lists(st.booleans(), min_size=12, max_size=12))
def test_buckets_hold_all_parameters_in_order_and_of_one_type(sizes, halves):
    made = [
        nn.Parameter(torch.empty(n, device="meta", dtype=torch.bfloat16 if half else torch.float32))
        for n, half in zip(sizes, halves, strict=False)
    ]
    found = buckets(made)
    assert [id(p) for group in found for p in group] == [id(p) for p in made]
    for group in found:
        assert len({p.dtype for p in group}) == 1
        assert len(group) == 1 or sum(p.numel() for p in group) <= BUCKET


def gradients(rank: int) -> list[torch.Tensor | None]:
    """Of one rank: large and small ones, one that lies transposed, one that it alone has, and one that nobody has."""
    generator = torch.Generator().manual_seed(rank)
    whole = [torch.randn(n, generator=generator) for n in (LARGE + 1, 3, LARGE - 1, LARGE)]
    transposed = [torch.randn(300, 400, generator=generator).T if rank else torch.randn(400, 300, generator=generator)]
    return [*whole, *transposed, torch.full((LARGE,), 2.0) if rank else None, None]


def sum_as_rank(rank: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo", f"file://{folder}/group", rank=rank, world_size=2)
    own = gradients(rank)
    parameters = [nn.Parameter(torch.zeros(LARGE if g is None else g.shape)) for g in own]
    for parameter, gradient in zip(parameters, own, strict=True):
        parameter.grad = gradient
    sum_gradients(parameters)
    torch.save([p.grad for p in parameters], f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_gradients_of_any_size_and_layout_are_summed_over_ranks(tmp_path):
    torch.multiprocessing.spawn(sum_as_rank, (str(tmp_path),), nprocs=2)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    one, two = gradients(0), gradients(1)
    expected = [a + b if a is not None else b for a, b in zip(one, two, strict=True)]
    for got in found:
        assert [g is None for g in got] == [g is None for g in expected] == 6 * [False] + [True]
        assert all(torch.equal(g, e) for g, e in zip(got[:-1], expected[:-1], strict=True))


def test_dropout_is_each_ranks_own_and_leaves_the_common_stream_where_it_was(monkeypatch):
    assert drops(tiny_bert()) and not drops(tiny_llama())
    outputs, after = [], []
    for rank in (0, 1, 0):
        model = copy.deepcopy(tiny_bert().train())
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        torch.manual_seed(0)
        with own_dropout(model):
            first, second = (model(**inputs()).logits for _ in range(2))
        assert not torch.equal(first, second)
        outputs.append(first)
        after.append(torch.rand(3))
        assert not model._forward_hooks and not model._forward_pre_hooks
    assert torch.equal(outputs[0], outputs[2]) and not torch.equal(outputs[0], outputs[1])
    assert torch.equal(after[0], after[1])
