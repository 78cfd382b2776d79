"""Latency of a model as a function of its units, from a table measured on the user's device (as ZipLM's).

Each layer is priced apart: its attention by its heads, its FFN by its units, both at the model's hidden width, with
linear interpolation between the widths that were measured. What is outside the layers has a price of its own.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vtrans.anatomy import Anatomy, anatomy_of
from vtrans.pruning.masks import Masks
from vtrans.pruning.surgery import materialise

if TYPE_CHECKING:
    from vtrans.pruning.counts import Counts

Floats = tuple[float, ...]
SHARES = (0.0, 0.0625, 0.125, 0.25, 0.5, 0.75, 1.0)  # of a layer's units
WIDTHS = (0.25, 0.5, 0.75, 1.0)  # of the hidden units
REPEATS, WARMUP = 7, 2


@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds of a forward pass.

    Attributes:
        batch, length: of the input that was timed.
        hidden, heads, ffn: measured widths, rising.
        stem: of what is outside the layers, `(hidden,)`.
        attention, feed: of one layer's attention and feed-forward network, `(hidden, heads)` and `(hidden, ffn)`; 0
            where there is none.
    """

    batch: int
    length: int
    hidden: Floats
    heads: Floats
    ffn: Floats
    stem: Floats
    attention: tuple[Floats, ...]
    feed: tuple[Floats, ...]

    def milliseconds(self, n: "Counts") -> Tensor:
        """Latency of a model of these counts, 0-d and differentiable in them."""
        device = n.hidden.device
        axes = [torch.tensor(axis, device=device, dtype=n.hidden.dtype) for axis in (self.hidden, self.heads, self.ffn)]
        tables = [torch.tensor(t, device=device, dtype=n.hidden.dtype) for t in (self.attention, self.feed)]
        stem = torch.tensor(self.stem, device=device, dtype=n.hidden.dtype)[:, None]
        zero = torch.zeros(1, device=device, dtype=n.hidden.dtype)
        outside = bilinear(axes[0], zero, stem, n.hidden, zero)
        layers = [bilinear(axes[0], axes[i + 1], tables[i], n.hidden, (n.heads, n.ffn)[i]) for i in (0, 1)]
        return outside.sum() + layers[0].sum() + layers[1].sum()

    def summary(self) -> dict[str, float]:
        """What was timed, and the dense model's milliseconds outside the layers and in one."""
        inside = self.attention[-1][-1] + self.feed[-1][-1]
        return {"batch": self.batch, "length": self.length, "stem_ms": self.stem[-1], "layer_ms": inside}

    def write(self, path: Path) -> None:
        """Keep the table, so that a run that goes on has the prices that it began with."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self)) + "\n")
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> "LatencyTable":
        """What `write` wrote."""
        values = json.loads(path.read_text())
        tables = {name: tuple(map(tuple, values[name])) for name in ("attention", "feed")}
        return cls(
            **{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()} | tables
        )


def bilinear(xs: Tensor, ys: Tensor, table: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Values of `table` `(len(xs), len(ys))` at the 0-d `x` and at each of `y` `(n,)`, `(n,)`.

    Bilinear interpolation; outside the grid, the value at its nearest edge.
    """
    i, u = _place(xs, x)
    j, v = _place(ys, y)
    below, above = (i + 1).clamp(max=len(xs) - 1), (j + 1).clamp(max=len(ys) - 1)
    low = table[i, j] * (1 - v) + table[i, above] * v
    high = table[below, j] * (1 - v) + table[below, above] * v
    return low * (1 - u) + high * u


def _place(axis: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the point at or below, and how far on the way to the next; outside, the nearest end."""
    if len(axis) == 1:
        return torch.zeros_like(at, dtype=torch.long), torch.zeros_like(at)
    at = at.clamp(float(axis[0]), float(axis[-1]))
    index = torch.searchsorted(axis, at.detach(), right=True).clamp(1, len(axis) - 1) - 1
    return index, (at - axis[index]) / (axis[index + 1] - axis[index])


def measure_table(model: nn.Module, batch: int, length: int) -> LatencyTable:
    """Time smaller models cut from `model`, all layers alike, on its device, in its precision and evaluation mode.

    The latency of a sub-layer is that of the model with this kind of sub-layer alone, less that of the model without
    any layer, divided by the number of layers.
    """
    anatomy = anatomy_of(model)
    widths = sorted({max(1, round(share * anatomy.hidden)) for share in WIDTHS})
    heads, ffn = (sorted({round(share * max(units)) for share in SHARES}) for units in (anatomy.heads, anatomy.ffn))
    timer = _timer(model, anatomy, batch, length)
    stem, attention, feed = [], [], []
    for width in widths:
        stem.append(timer(width, 0, 0))
        attention.append(_rising([timer(width, count, 0) - stem[-1] for count in heads], len(anatomy.blocks)))
        feed.append(_rising([timer(width, 0, count) - stem[-1] for count in ffn], len(anatomy.blocks)))
    axes = [tuple(map(float, axis)) for axis in (widths, heads, ffn)]
    return LatencyTable(batch, length, axes[0], axes[1], axes[2], tuple(stem), tuple(attention), tuple(feed))


def _rising(times: Sequence[float], layers: int) -> Floats:
    """Prices per layer; noise may not make a wider one cheaper, and no unit costs nothing."""
    best, found = 0.0, []
    for value in [0.0, *times[1:]]:
        best = max(best, value / layers)
        found.append(best)
    return tuple(found)


def _timer(model: nn.Module, anatomy: Anatomy, batch: int, length: int) -> Callable[[int, int, int], float]:
    device = next(model.parameters()).device
    ids = torch.ones(batch, length, dtype=torch.long, device=device)

    @torch.no_grad()
    def run(hidden: int, heads: int, ffn: int) -> float:
        """Median milliseconds of the model with these units in every layer."""
        small = materialise(model, _uniform(anatomy, hidden, heads, ffn)).eval()
        times = []
        for _ in range(WARMUP + REPEATS):
            _wait(device)
            start = time.perf_counter()
            small(input_ids=ids, attention_mask=torch.ones_like(ids))
            _wait(device)
            times.append((time.perf_counter() - start) * 1e3)
        return median(times[WARMUP:])

    return run


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _uniform(anatomy: Anatomy, hidden: int, heads: int, ffn: int) -> Masks:
    def first(count: int, of: int) -> Tensor:
        """The first `count` of `of` units."""
        return (torch.arange(of) < count).float()

    on = [torch.ones(())] * len(anatomy.blocks)
    return Masks.of(
        first(hidden, anatomy.hidden),
        [first(heads, n) for n in anatomy.heads],
        [first(ffn, n) for n in anatomy.ffn],
        on,
        on,
    )
