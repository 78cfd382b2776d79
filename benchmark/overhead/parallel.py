"""Two processes with half of the threads each over one with all of them: `python -m ... THREADS SECONDS`."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmark.overhead.ratios import Ratio

ROUNDS, SECONDS, WARMUP = 3, 12.0, 4.0


def throughput_ratio() -> Ratio | None:
    """Pruning steps per second of two processes over those of one, in turns; None on a single core."""
    from benchmark.runs.jobs import usable_cores

    cores = usable_cores()
    if cores < 2:
        return None
    ratios = [_rates(2, cores // 2) / _rates(1, cores) for _ in range(ROUNDS)]
    return Ratio.of("throughput of --jobs 2 over --jobs 1, pruning steps", ratios, note=f", {cores} cores")


def _rates(processes: int, threads: int) -> float:
    """Steps per second of some processes together."""
    command = [sys.executable, "-m", "benchmark.overhead.parallel", str(threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(processes)]
    return sum(float(each.communicate()[0].split()[-1]) for each in running)


def rate(threads: int) -> float:
    """Steps per second of this process, after a warm-up in which the others start too."""
    import torch

    from benchmark.overhead.models import fixed_examples
    from benchmark.overhead.steps import pruning_loop
    from vtrans.settings import Distillation
    from vtrans.teaching.cache import TeacherCache

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        loop = pruning_loop(Distillation(), fixed_examples(), TeacherCache(Path(folder)))
        start, step, counted = time.monotonic(), 0, 0
        while (passed := time.monotonic() - start) < WARMUP + SECONDS:
            loop.step(step % 35)
            step, counted = step + 1, counted + (passed > WARMUP)
        return counted / SECONDS


if __name__ == "__main__":
    sys.stdout.write(f"{rate(int(sys.argv[1]))}\n")
