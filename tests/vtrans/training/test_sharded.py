"""Two ranks with the backbone in shards learn the masks that one process learns, on CPUs with gloo."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_llama
from transformers import AutoModelForCausalLM

from benchmark.models.pretrain import train_tokenizer
from vtrans.errors import SuiteError
from vtrans.pruning.size import Size
from vtrans.pruning.surgery import materialise
from vtrans.saving.layerwise import load_decision
from vtrans.saving.pruned import load_pruned
from vtrans.training.engine import Sharding, connect

ROOT = Path(__file__).parents[3]
NAMES = ["zero2", "zero3", "zero3-resumed", "zero3-offload-checkpointing"]


def make_inputs(folder: Path) -> None:
    """A model with a tokenizer, in several files, and a text."""
    texts = [f"the film was {word} and the plot was {word} .\n" for word in ("good", "bad", "long", "dull")] * 30
    for split in ("train", "test"):
        (folder / "data" / "wikitext-2").mkdir(parents=True, exist_ok=True)
        (folder / "data" / "wikitext-2" / f"{split}.txt").write_text("".join(texts))
    train_tokenizer(texts, 300).save_pretrained(folder / "model")
    tiny_llama(vocab_size=300).save_pretrained(folder / "model", max_shard_size="20KB")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """One launch for all scenarios: starting two ranks takes longer than their steps."""
    pytest.importorskip("deepspeed")
    from sharded_worker import local

    folder = tmp_path_factory.mktemp("sharded")
    local(folder)
    make_inputs(folder)
    paths = os.pathsep.join(str(path) for path in (ROOT, ROOT / "tests", ROOT / "tests" / "vtrans"))
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    worker = str(ROOT / "tests" / "sharded_worker.py")
    result = subprocess.run(
        [*launch, worker, str(folder)], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_two_ranks_learn_the_masks_of_one_process(runs, name):
    one, two = (load_file(runs / f"{which}.safetensors") for which in ("local", name))
    assert one.keys() == two.keys()
    for key in one:
        assert torch.equal(one[key] != 0, two[key] != 0), key
        torch.testing.assert_close(two[key], one[key], atol=1e-4, rtol=0)
    expected, found = (json.loads((runs / f"{which}.json").read_text()) for which in ("local", name))
    assert found["kept"] == expected["kept"]
    assert found["expected_sparsity"] == pytest.approx(expected["expected_sparsity"], abs=1e-4)


def test_the_command_writes_masks_and_the_model_that_they_give(runs):
    out, dense = runs / "command", AutoModelForCausalLM.from_pretrained(runs / "model")
    expected = materialise(dense, load_decision(out / "masks.safetensors"))
    small = load_pruned(out)
    for (name, a), b in zip(expected.state_dict().items(), small.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    report = json.loads((out / "report.json").read_text())
    assert report["ranks"] == 2 and report["tokens_per_second"] > 0
    kept = Size.of(small).parameters(Size.of(small).dense) / Size.of(dense).parameters(Size.of(dense).dense)
    assert float(kept) == pytest.approx(0.6, abs=0.05)


@pytest.mark.parametrize("name", ["zero2", "zero3", "zero3-offload-checkpointing"])
def test_two_ranks_learn_the_adapters_of_one_process(runs, name):
    one, two = (load_file(runs / f"{which}-adapters.safetensors") for which in ("local", name))
    assert one.keys() == two.keys() and max(float(tensor.abs().max()) for tensor in one.values()) > 1e-3
    for key in one:
        torch.testing.assert_close(two[key], one[key], atol=1e-4, rtol=0)


def test_the_command_merges_adapters_into_the_smaller_model(runs):
    out = runs / "command-lora"
    (pruned,) = out.glob("work/*/pruned")
    before, after = load_pruned(pruned).state_dict(), load_pruned(out).state_dict()
    moved = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert moved and all("_proj.weight" in name for name in moved)
    assert load_decision(out / "masks.safetensors").kept() == load_decision(pruned / "masks.safetensors").kept()
    assert any("recoverlora" in name for name in json.loads((out / "report.json").read_text())["seconds"])


def test_only_the_first_rank_writes(runs):
    (log,) = (runs / "work" / "zero3").glob("*-prune.jsonl")
    logs = log.read_text().splitlines()
    steps = [json.loads(line)["step"] for line in logs]
    assert steps == sorted(set(steps))


def test_bad_settings_are_refused(monkeypatch):
    with pytest.raises(SuiteError, match="ZeRO stage 1"):
        Sharding(stage=1)  # type: ignore[arg-type]
    with pytest.raises(SuiteError, match="offload under stage 3"):
        Sharding(stage=2, offload=True)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(SuiteError, match="no ranks are set"):
        connect()
