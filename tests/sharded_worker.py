"""What each rank of the tests of sharded training runs; started by torchrun."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from tiny import tiny_llama

from benchmark.commands.shard import ShardRequest, shard_model
from benchmark.grid.suites import SUITES, Preset
from vtrans.data.windows import Windows
from vtrans.errors import RunCancelled
from vtrans.methods.adapters import projections
from vtrans.methods.base import CompressionState
from vtrans.methods.decoder import FasterVTransLLM
from vtrans.methods.stages import VariationalGates
from vtrans.objectives.lora_sharded import LowRank, LowRankObjective
from vtrans.saving.layerwise import save_decision
from vtrans.settings import Budget, Schedule, Schedules
from vtrans.teaching.teacher import Teacher
from vtrans.training.engine import LocalEngine, ShardedEngine, Sharding
from vtrans.training.loop import RunContext, fit

SCENARIOS = {
    "zero2": Sharding(stage=2),
    "zero3": Sharding(stage=3),
    "zero3-offload-checkpointing": Sharding(stage=3, offload=True, checkpointing=True),
}


def method() -> FasterVTransLLM:
    short = Schedule(steps=12, batch=4, precision="fp32", clip=0.0)
    gates = VariationalGates()
    return FasterVTransLLM(Budget(0.4), short, short, gates=gates, fraction=1.0, noise="batch")


def train(engine, folder: Path, stop_at: int = 0) -> CompressionState:
    """Train the gates of a tiny LLaMA; interrupted once at step `stop_at`, where that is not 0."""
    ids = torch.randint(5, 60, (400,), generator=torch.Generator().manual_seed(0)).tolist()
    model = tiny_llama(attention="eager")
    run_context = RunContext(folder=folder, engine=engine)

    def report(stage: str, step: int, total: int, numbers: dict) -> None:
        run_context.stop = step == stop_at

    run_context.report = report
    state = CompressionState(Teacher(model), Windows.of(ids, 16, pad=0), 0, run_context)
    for state.stage, stage in enumerate(method().gate_stages()):
        stage.run(state)
    return state


def interrupted(engine, folder: Path) -> CompressionState:
    """The same, stopped after some steps and started again from the checkpoint."""
    try:
        train(engine, folder, stop_at=5)
    except RunCancelled:
        torch.distributed.barrier()
    else:
        raise AssertionError("was not stopped")
    return train(engine, folder)


def adapt(engine, folder: Path, path: Path) -> None:
    """Train adapters beside a tiny LLaMA and write what they add."""
    torch.manual_seed(0)
    ids = torch.randint(5, 60, (400,), generator=torch.Generator().manual_seed(0)).tolist()
    model = tiny_llama(attention="eager")
    adapters = LowRank(model, projections(model), rank=2, alpha=4, dropout=0.0)
    schedule = Schedule(steps=6, batch=4, lr=1e-2, precision="fp32")
    with adapters.beside(model):
        run_context = RunContext(folder=folder, engine=engine)
        fit(LowRankObjective(model, adapters), Windows.of(ids, 16, pad=0), schedule, 0, "adapters", run_context)
    if engine.rank == 0:
        save_file({name: adapters.product(name).contiguous() for name in adapters.paths}, path)


def write(state: CompressionState, path: Path) -> None:
    assert state.decision is not None
    save_decision(state.decision, path)
    path.with_suffix(".json").write_text(json.dumps(state.report["pruning"]))


def command(out: Path, model: Path, data: Path, lora: bool = False) -> None:
    """`vtrans-bench shard` under a preset of a few steps."""
    short = Schedule(steps=6, batch=4, precision="fp32")
    schedules = Schedules(None, short, replace(short, lr=1e-2), short, short)
    preset = Preset("tiny", "for tests", "tiny", ("wikitext2",), (0,), 16, lambda task: schedules)
    SUITES["llm"].presets["tiny"] = preset
    shard_model(ShardRequest(str(model), "wikitext2", 0.4, out, Sharding(stage=3), "tiny", data, lora=lora))


def main() -> None:
    torch.set_num_threads(1)
    out = Path(sys.argv[1])
    command(out / "command", out / "model", out / "data")
    command(out / "command-lora", out / "model", out / "data", lora=True)
    for name, sharding in SCENARIOS.items():
        engine = ShardedEngine(sharding)
        adapt(ShardedEngine(sharding), out / "work" / f"{name}-adapters", out / f"{name}-adapters.safetensors")
        jobs = {name: train(engine, out / "work" / name)}
        if sharding.stage == 3 and not sharding.offload:
            jobs[f"{name}-resumed"] = interrupted(ShardedEngine(sharding), out / "work" / f"{name}-resumed")
        for label, state in jobs.items():
            if engine.rank == 0:
                write(state, out / f"{label}.safetensors")
    torch.distributed.barrier()


def local(out: Path) -> None:
    """One process, for comparison."""
    write(train(LocalEngine(), out / "work" / "local"), out / "local.safetensors")
    adapt(LocalEngine(), out / "work" / "local-adapters", out / "local-adapters.safetensors")


if __name__ == "__main__":
    main()
