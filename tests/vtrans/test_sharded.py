"""Two ranks with the backbone in shards learn the masks that one process learns, on CPUs with gloo."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vtrans.engine import Sharding, connect
from vtrans.errors import SuiteError

ROOT = Path(__file__).parents[2]
NAMES = ["zero2", "zero3", "zero3-resumed", "zero3-offload-checkpointing"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """One launch for all scenarios: starting two ranks takes longer than their steps."""
    pytest.importorskip("deepspeed")
    from sharded_worker import local

    folder = tmp_path_factory.mktemp("sharded")
    local(folder)
    paths = os.pathsep.join(str(path) for path in (ROOT, ROOT / "tests", ROOT / "tests" / "vtrans"))
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    worker = str(ROOT / "tests" / "vtrans" / "sharded_worker.py")
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


def test_only_the_first_rank_writes(runs):
    logs = (runs / "work" / "zero3" / "0-prune.jsonl").read_text().splitlines()
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
