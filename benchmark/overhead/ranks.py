"""Two ranks with half of the threads each over one process with all of them, on the steps of one model.

`python -m benchmark.overhead.ranks` writes the ratio to `results/bench/ranks.json`; it is one of `nox -s bench`, too.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmark.overhead.models import training_precision
from benchmark.overhead.ratios import Ratio, write
from benchmark.records.provenance import now

ROUNDS, STEPS, WARMUP = 3, 20, 5


def throughput_ratio() -> Ratio | None:
    """Fine-tuning steps per second of two ranks over those of one process, in turns; None on a single core."""
    from benchmark.runs.jobs import usable_cores

    cores = usable_cores()
    if cores < 2:
        return None
    ratios = [_rate(2, cores // 2) / _rate(1, cores) for _ in range(ROUNDS)]
    name = "throughput of --ranks 2 over one process, fine-tuning steps"
    return Ratio.of(name, ratios, 0.8, at_least=True, note=f", {cores} cores")


def _rate(count: int, threads: int) -> float:
    """Steps per second of some ranks together."""
    ranks = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), "-m"]
    command = [sys.executable, *ranks, "benchmark.overhead.ranks", str(threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    return float(found.stdout.split()[-1])


def main(threads: int) -> None:
    """Print the steps per second of the ranks that this process is one of."""
    import torch

    from benchmark.overhead.models import fixed_examples, minilm
    from benchmark.overhead.steps import SCHEDULE
    from vtrans import ranks
    from vtrans.objectives.base import TaskObjective
    from vtrans.settings import Sharding
    from vtrans.training.engine import LocalEngine
    from vtrans.training.loop import Loop
    from vtrans.training.zero import engine_of

    torch.set_num_threads(threads)
    engine = engine_of(Sharding(0)) if ranks.launched_count() > 1 else LocalEngine()
    loop = Loop(TaskObjective(minilm()), fixed_examples(), SCHEDULE, 0, "ranks", engine)
    for step in range(WARMUP + STEPS):
        if step == WARMUP:
            ranks.barrier()
            start = time.monotonic()
        loop.step(step)
    if ranks.rank() == 0:
        sys.stdout.write(f"{STEPS / (time.monotonic() - start)}\n")


def measure(path: Path) -> None:
    """Write the ratio, and print it."""
    started, ratio = now(), throughput_ratio()
    if ratio is None:
        raise SystemExit("two cores are needed")
    write(path, started, [ratio], steps=STEPS, precision=training_precision())
    sys.stdout.write(f"{ratio.line()}\n")


if __name__ == "__main__":
    if sys.argv[1:]:
        main(int(sys.argv[1]))
    else:
        measure(Path("results/bench/ranks.json"))
