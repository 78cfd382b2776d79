"""Surgery on files, layer by layer, gives what surgery in memory gives."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny import FAMILIES, inputs, random_decision

from vtrans.anatomy import anatomy_of
from vtrans.errors import SuiteError
from vtrans.pruning.surgery import materialise
from vtrans.saving.layerwise import check_files, load_decision, materialise_files, save_decision
from vtrans.saving.pruned import load_pruned


@pytest.mark.parametrize("family", FAMILIES)
@given(seed=st.integers(0, 30), log_alpha=st.sampled_from([-1.0, 0.5, 2.0]), shard=st.sampled_from(["1GB", "4KB"]))
def test_streamed_equals_materialised(tmp_path_factory, family, seed, log_alpha, shard):
    folder = tmp_path_factory.mktemp("model")
    model = FAMILIES[family]()
    model.save_pretrained(folder / "dense", max_shard_size=shard)
    decision = random_decision(model, seed, log_alpha)
    small = materialise(model, decision)
    streamed = load_pruned(materialise_files(folder / "dense", decision, folder / "small"))
    for (name, a), (other, b) in zip(small.state_dict().items(), streamed.state_dict().items(), strict=True):
        assert name == other and torch.equal(a, b)
    for part in ("hidden", "heads", "ffn"):
        assert getattr(anatomy_of(streamed), part) == getattr(anatomy_of(small), part)
    assert len(list((folder / "small").glob("*.safetensors"))) == 1 + len(anatomy_of(model).blocks)


@pytest.mark.parametrize("family", FAMILIES)
def test_decisions_survive_their_file(tmp_path, family):
    decision = random_decision(FAMILIES[family](), 3, 0.3)
    save_decision(decision, tmp_path / "masks.safetensors")
    again = load_decision(tmp_path / "masks.safetensors")
    assert again.kept() == decision.kept()
    assert torch.equal(again.hidden, decision.hidden.detach())
    assert all(torch.equal(a, b.detach()) for a, b in zip(again.ffn, decision.ffn, strict=True))


def test_missing_and_damaged_files_are_named(tmp_path):
    model = FAMILIES["llama"]()
    decision = random_decision(model, 0, 1.0)
    model.save_pretrained(tmp_path / "dense", max_shard_size="4KB")
    shards = sorted((tmp_path / "dense").glob("*.safetensors"))
    shards[1].unlink()
    with pytest.raises(SuiteError, match="has no tensor"):
        materialise_files(tmp_path / "dense", decision, tmp_path / "out")
    shards[2].write_bytes(b"x")
    with pytest.raises(SuiteError, match="damaged"):
        materialise_files(tmp_path / "dense", decision, tmp_path / "out")
    for path in (tmp_path / "dense").glob("*.safetensors"):
        path.unlink()
    with pytest.raises(SuiteError, match="no safetensors weights"):
        materialise_files(tmp_path / "dense", decision, tmp_path / "out")


def test_a_pruned_model_that_lacks_a_file_is_refused(tmp_path):
    model = FAMILIES["llama"]()
    model.save_pretrained(tmp_path / "dense")
    out = materialise_files(tmp_path / "dense", random_decision(model, 0, 1.0), tmp_path / "out")
    sorted(out.glob("*.safetensors"))[2].unlink()
    with pytest.raises(SuiteError, match="holds no whole pruned model"):
        load_pruned(out)


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_files_give_a_model_that_runs(tmp_path, family):
    model = FAMILIES[family]().bfloat16()
    decision = random_decision(model, 0, 1.0)
    model.save_pretrained(tmp_path / "dense")
    check_files(tmp_path / "dense")
    streamed = load_pruned(materialise_files(tmp_path / "dense", decision, tmp_path / "small"))
    assert {p.dtype for p in streamed.parameters()} == {torch.bfloat16}
    state = streamed.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in materialise(model, decision).state_dict().items())
    with torch.no_grad():
        assert streamed(**inputs()).logits.isfinite().all()


def test_names_without_the_prefix_are_found_and_missing_ones_before_training(tmp_path):
    model = FAMILIES["gpt2"]()
    decision = random_decision(model, 0, 1.0)
    model.save_pretrained(tmp_path / "dense")
    path = tmp_path / "dense" / "model.safetensors"
    bare = {name.removeprefix("transformer."): tensor for name, tensor in load_file(path).items()}
    save_file(bare, path, {"format": "pt"})
    check_files(tmp_path / "dense")
    streamed = load_pruned(materialise_files(tmp_path / "dense", decision, tmp_path / "small"))
    with torch.no_grad():
        torch.testing.assert_close(streamed(**inputs()).logits, materialise(model, decision)(**inputs()).logits)
    save_file({name: tensor for name, tensor in bare.items() if name != "wpe.weight"}, path, {"format": "pt"})
    with pytest.raises(SuiteError, match="has no tensor transformer.wpe.weight"):
        check_files(tmp_path / "dense")
