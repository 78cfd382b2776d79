"""What each rank of the tests of sharded training runs; started by torchrun."""

import json
import sys
from pathlib import Path

import torch
from tiny import tiny_llama

from vtrans.engine import LocalEngine, ShardedEngine, Sharding
from vtrans.errors import RunCancelled
from vtrans.method import Job
from vtrans.methods.decoder import FasterVTransLLM
from vtrans.settings import Budget, Schedule
from vtrans.stages import Prune, TuneScales, VariationalGates
from vtrans.streaming import save_decision
from vtrans.training import Desk
from vtrans.windows import Windows

SCENARIOS = {
    "zero2": Sharding(stage=2),
    "zero3": Sharding(stage=3),
    "zero3-offload-checkpointing": Sharding(stage=3, offload=True, checkpointing=True),
}


def method() -> FasterVTransLLM:
    short = Schedule(steps=12, batch=4, precision="fp32", clip=0.0)
    gates = VariationalGates()
    return FasterVTransLLM(Budget(0.4), short, short, gates=gates, fraction=1.0, noise="batch")


def gate_stages() -> list:
    """The stages up to the decision: surgery follows outside."""
    return [stage for stage in method().stages() if isinstance(stage, Prune | TuneScales)]


def train(engine, folder: Path, stop_at: int = 0) -> Job:
    """Train the gates of a tiny LLaMA; interrupted once at step `stop_at`, where that is not 0."""
    ids = torch.randint(5, 60, (400,), generator=torch.Generator().manual_seed(0)).tolist()
    model = tiny_llama(attention="eager")
    desk = Desk(folder=folder, engine=engine)

    def report(stage: str, step: int, total: int, numbers: dict) -> None:
        desk.stop = step == stop_at

    desk.report = report
    job = Job(model, model, Windows.of(ids, 16, pad=0), 0, desk)
    for job.stage, stage in enumerate(gate_stages()):
        stage.run(job)
    return job


def interrupted(engine, folder: Path) -> Job:
    """The same, stopped after some steps and started again from the checkpoint."""
    try:
        train(engine, folder, stop_at=5)
    except RunCancelled:
        torch.distributed.barrier()
    else:
        raise AssertionError("was not stopped")
    return train(engine, folder)


def write(job: Job, path: Path) -> None:
    assert job.decision is not None
    save_decision(job.decision, path)
    path.with_suffix(".json").write_text(json.dumps(job.report["pruning"]))


def main() -> None:
    torch.set_num_threads(1)
    out = Path(sys.argv[1])
    for name, sharding in SCENARIOS.items():
        engine = ShardedEngine(sharding)
        jobs = {name: train(engine, out / "work" / name)}
        if sharding.stage == 3 and not sharding.offload:
            jobs[f"{name}-resumed"] = interrupted(ShardedEngine(sharding), out / "work" / f"{name}-resumed")
        for label, job in jobs.items():
            if engine.rank == 0:
                write(job, out / f"{label}.safetensors")
    torch.distributed.barrier()


def local(out: Path) -> None:
    """One process, for comparison."""
    write(train(LocalEngine(), out / "work" / "local"), out / "local.safetensors")


if __name__ == "__main__":
    main()
