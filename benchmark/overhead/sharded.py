"""Memory of ranks that train gates beside a model in shards, against the estimate: `python -m ... [SHAPE ...]`."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.overhead.ratios import Ratio, write
from vtrans.settings import Sharding

RANKS, BATCH, LENGTH, STEPS = 2, 1, 256, 2  # sequences per rank, tokens of each, steps
SHAPES = {
    "135M": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9}
    | {"num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": True},
    "1B": {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32}
    | {"num_key_value_heads": 4, "vocab_size": 32000, "tie_word_embeddings": False},  # TinyLlama's
}
SHARDINGS = (Sharding(2), Sharding(2, "", True), Sharding(3), Sharding(3, "cpu"), Sharding(3, "cpu", True))


def ratios(shape: str) -> list[Ratio]:
    """Estimated over measured memory of a rank, for each way to hold a random model of a shape."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(shape, folder / "model")
        for sharding in SHARDINGS:
            measured = launch(folder, sharding)
            need = estimated(folder / "model", sharding)
            note = f", {measured / 1e9:.2f} GB measured"
            label = f"{shape}, stage {sharding.stage}{' offload' * bool(sharding.offload)}"
            label += " checkpointing" * sharding.checkpointing
            found.append(Ratio.of(f"memory estimated over measured, {label}", [need / measured], note=note))
            sys.stdout.write(f"{found[-1].line()}\n")
            sys.stdout.flush()
    return found


def make(shape: str, folder: Path) -> None:
    """Write a LLaMA of random weights, in fp32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SHAPES[shape])).save_pretrained(folder, max_shard_size="500MB")


def estimated(model: Path, sharding: Sharding) -> float:
    """Bytes of a rank, by the estimate."""
    from benchmark.grid.sharded import estimate
    from benchmark.runs.memory import read_config, shape_of

    return estimate(shape_of(read_config(model)), sharding, RANKS, BATCH, LENGTH, width=4, on_host=True).total


def launch(folder: Path, sharding: Sharding) -> float:
    """Bytes that a rank takes at most, more than before it loads the model."""
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    ranks = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(RANKS), "-m"]
    command = [sys.executable, *ranks, "benchmark.overhead.sharded", str(folder), json.dumps(asdict(sharding))]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | threads, check=True)
    return float(max(json.loads(ended.stdout.splitlines()[-1])))


def measure(folder: Path, sharding: Sharding) -> list[float]:
    """Bytes of every rank, in pruning steps of Faster-VTrans for language models."""
    import torch

    from vtrans import ranks
    from vtrans.data.windows import Windows
    from vtrans.methods.base import CompressionState
    from vtrans.methods.decoder import FasterVTransLLM
    from vtrans.saving.pruned import load_pruned
    from vtrans.settings import Budget, Schedule
    from vtrans.teaching.teacher import Teacher
    from vtrans.training.loop import RunContext
    from vtrans.training.zero import ZeroEngine

    engine, model = ZeroEngine(sharding), folder / "model"
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 30000, (LENGTH * 64,), generator=generator).tolist()
    before, peak = resident(), 0.0
    schedule = Schedule(steps=STEPS, batch=BATCH * RANKS, precision="fp32")
    teacher = Teacher(load=lambda: engine.load(model, load_pruned), folder=model)
    state = CompressionState(teacher, Windows.of(ids, LENGTH, pad=0), 0, RunContext(engine=engine))
    state.model = teacher.copy()

    def watch(stage: str, step: int, total: int, numbers: dict[str, float]) -> None:
        """Start counting once the first step has been made."""
        nonlocal peak
        if step == 1:
            reset()
        peak = high()

    state.run_context.report = watch
    _, prune, *_ = FasterVTransLLM(Budget(0.4), schedule, schedule, fraction=1.0).gate_stages()
    prune.run(state)
    return ranks.all_gather(peak - before)


def resident() -> float:
    """Bytes of this process."""
    return _status("VmRSS")


def high() -> float:
    """The most that it has had since the last reset."""
    return _status("VmHWM")


def reset() -> None:
    """Count anew."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> float:
    text = Path("/proc/self/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith(f"{name}:"))
    return float(line.split()[1]) * 1024


def main(arguments: list[str]) -> None:
    """Measure in a rank, or launch ranks and write what they found to `results/bench/sharded-memory.json`."""
    from benchmark.records.provenance import now
    from vtrans import ranks

    if ranks.launched_count() == 1:
        started = now()
        found = [ratio for shape in arguments or SHAPES for ratio in ratios(shape)]
        facts = {"ranks": RANKS, "sequences": BATCH, "tokens": LENGTH}
        return write(Path("results/bench/sharded-memory.json"), started, found, **facts)
    details: Any = json.loads(arguments[1])
    taken = measure(Path(arguments[0]), Sharding(**details))
    if ranks.rank() == 0:
        sys.stdout.write(json.dumps(taken) + "\n")
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
