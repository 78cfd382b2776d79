"""Time the models of records that were made where latency could not be taken, by their widths.

Latency depends on how many units a model has and not on what its weights are: a model of the recorded widths is cut
from the pretrained one. A model that drops tokens is left out, because its decisions are its weights'.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.grid.cells import Cell
from benchmark.records.provenance import hardware, now
from benchmark.records.store import Store
from benchmark.records.timings import Timing, read_timing, write_timing
from benchmark.runs.runner import check_sources
from benchmark.runs.task_context import Contexts, TaskContext, Watch, no_watch

if TYPE_CHECKING:
    from torch import nn


def to_be_timed(cells: Sequence[Cell], store: Store, again: bool = False) -> list[Cell]:
    """Cells whose complete record holds widths, and no latency or timing yet, unless they are to be timed again."""
    found = []
    for cell, record in store.complete(list(cells)).items():
        outcome = record.outcome
        if outcome and outcome.tokens is None and "widths" in outcome.report:
            known = outcome.latency or read_timing(store.of(cell).path(cell), cell.key)
            found += [cell] if again or not known else []
    return found


def time_records(
    cells: Sequence[Cell], store: Store, folder: Path | None, watch: Watch = no_watch, again: bool = False
) -> int:
    """Time all such cells; return how many there were."""
    todo = to_be_timed(cells, store, again)
    check_sources(todo, folder)
    contexts = Contexts(folder, store.folder / "work", watch)
    for cell in todo:
        with watch(cell.name) as report:
            record = store.read(cell)
            assert record is not None and record.outcome is not None, "only complete records are timed"
            widths = record.outcome.report["widths"]
            found = Timing(
                key=cell.key,
                widths=widths,
                **_speeds(contexts.of(cell), cell.seed, widths),
                hardware=hardware(),
                measured=now(),
            )
            write_timing(store, cell, found)
            if report:
                report("latency", 1, 1, {f"b{each['batch']}": each["speedup"][1] for each in found.latency})
    return len(todo)


def _speeds(context: TaskContext, seed: int, widths: dict[str, Any]) -> dict[str, Any]:
    from benchmark.measure.latency import compare
    from benchmark.runs.outcome import generation_speed

    dense = context.pretrained(seed).eval()
    small = of_widths(dense, widths).eval()
    return {
        "latency": [compare(dense, small, context.evaluation, batch) for batch in context.latency],
        "generation": generation_speed(dense, small, context) if context.kind.decodes else None,
    }


def of_widths(model: "nn.Module", widths: dict[str, Any]) -> "nn.Module":
    """A model with the first so many units of another: `hidden`, and `heads` and `ffn` of each layer."""
    import torch

    from vtrans.anatomy import anatomy_of
    from vtrans.pruning.masks import Masks
    from vtrans.pruning.surgery import materialise

    def first(kept: int, of: int) -> "torch.Tensor":
        """Ones for the first units, zeros for the others."""
        return (torch.arange(of) < kept).float()

    anatomy = anatomy_of(model)
    sites = [[first(n, of) for n, of in zip(widths[s], getattr(anatomy, s), strict=True)] for s in ("heads", "ffn")]
    layers = [torch.ones(())] * len(anatomy.blocks)
    return materialise(model, Masks.of(first(widths["hidden"], anatomy.hidden), sites[0], sites[1], layers, layers))
