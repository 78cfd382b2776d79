"""Peak memory of compressing beside that of fine-tuning, each in a process of its own: `python -m ... finetune`."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.overhead.ratios import Ratio

if TYPE_CHECKING:
    from vtrans.data.examples import Examples

ROWS, STEPS = 60_000, 60  # of SST-2's shape, and of each stage
KINDS = ("finetune", "compress")


def peaks() -> dict[str, float]:
    """Peak resident memory in bytes of fine-tuning MiniLM-L6 and of compressing it by VTrans, on rows like SST-2's."""
    found = {}
    for kind in KINDS:
        command = [sys.executable, "-m", "benchmark.overhead.memory", kind]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        found[kind] = float(json.loads(ended.stdout.splitlines()[-1]))
    return found


def ratios() -> list[Ratio]:
    """Compressing over fine-tuning, and both in GB."""
    found = peaks()
    whole = [value / 1e9 for value in found.values()]
    return [
        Ratio.of("compressing over fine-tuning", [found["compress"] / found["finetune"]], 1.3),
        Ratio.of("compressing, in GB", whole[1:], 1.5),
        Ratio.of("fine-tuning, in GB", whole[:1]),
    ]


def sentences(rows: int = ROWS) -> "Examples":
    """Random rows as long as SST-2's: 3 to 66 tokens, 13 in the mean."""
    import torch

    from vtrans.data.examples import Examples
    from vtrans.data.ragged import Ragged

    generator = torch.Generator().manual_seed(0)
    lengths = (3 + torch.empty(rows).exponential_(0.1, generator=generator)).clamp(max=66).long().tolist()
    ids = Ragged.of([torch.randint(1000, 30000, (n,), generator=generator).tolist() for n in lengths])
    return Examples(ids, Ragged.of([[0] * n for n in lengths]), torch.randint(2, (rows,), generator=generator), 0)


def run(kind: str) -> float:
    """Do it in this process and return the peak in bytes."""
    from benchmark.overhead.models import minilm
    from benchmark.records.memory import PeakMemory
    from vtrans.methods.base import CompressionState
    from vtrans.methods.dense import Dense
    from vtrans.methods.vtrans import VTrans
    from vtrans.saving.pruned import load_pruned, save_pruned
    from vtrans.settings import Budget, Schedule
    from vtrans.teaching.cache import TeacherCache
    from vtrans.teaching.teacher import Teacher
    from vtrans.training.loop import RunContext

    schedule = Schedule(steps=STEPS)
    method = Dense(schedule) if kind == "finetune" else VTrans(Budget(0.8), schedule, schedule)
    with tempfile.TemporaryDirectory() as folder:
        model = save_pruned(minilm(), Path(folder) / "teacher")
        context = RunContext(Path(folder) / "work", teacher_cache=TeacherCache(Path(folder) / "cache"))
        examples, peak = sentences(), PeakMemory()
        method.compress(CompressionState(Teacher(load=lambda: load_pruned(model)), examples, 0, context))
        return float(peak.host() or 0)


if __name__ == "__main__":
    sys.stdout.write(f"{json.dumps(run(sys.argv[1]))}\n")
