"""What a family of five sizes costs, over one size by itself: from the steps of each stage at each size."""

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.overhead.models import fixed_examples
from benchmark.overhead.ratios import Ratio
from benchmark.overhead.steps import pruning_loop, recovery_loop, step_times
from vtrans.methods.family import SHARE, SIZES
from vtrans.settings import Distillation

if TYPE_CHECKING:
    from vtrans.training.loop import Loop

STEPS, WARMUP = 10, 3
LIMIT = 2.2


def family_ratio(folder: Path) -> Ratio:
    """Cost of all five sizes over that of one, in the mean of the sizes, under the schedules of SST-2 in `small`.

    One round of steps in turns gives one ratio.
    """
    from benchmark.grid.suites import get_preset

    schedules = get_preset("small").schedules("sst2")
    prune, recover = schedules.prune.steps, schedules.recover.steps
    times = step_times(_loops(folder), STEPS, WARMUP)
    ratios = []
    for turn in range(STEPS):
        at = {name: found[turn] for name, found in times.items()}
        pruned = [prune * at[f"prune {kept:g}"] for kept in _starts()]
        recovered = [recover * at[f"recover {size:g}"] for size in SIZES]
        family = SHARE * (sum(pruned) + sum(recovered))
        single = pruned[0] + sum(recovered) / len(SIZES)
        ratios.append(family / single)
    return Ratio.of("family of five sizes over one size", ratios, LIMIT, note=", the sizes in the mean")


def _starts() -> list[float]:
    """Shares that the sizes start pruning from."""
    return [1.0, *(round(1 - size, 2) for size in SIZES[:-1])]


def _loops(folder: Path) -> "dict[str, Loop]":
    from vtrans.teaching.cache import TeacherCache

    examples, cache = fixed_examples(), TeacherCache(folder)
    loops = {f"prune {kept:g}": pruning_loop(Distillation(), examples, cache, kept) for kept in _starts()}
    return loops | {f"recover {size:g}": recovery_loop(size, examples, cache) for size in SIZES}
