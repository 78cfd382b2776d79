"""How much memory a rank needs to train gates on a sharded model: an estimate, made before anything is loaded."""

from dataclasses import dataclass

from benchmark.grid.cells import Cell
from benchmark.models.registry import ACTIVATIONS, GIB, Shape, get_model
from vtrans.settings import Sharding

GATE_BYTES = 2 * 4 * 8  # of a unit: value and scale, each with gradient and Adam's moments, in fp32, and as much again
MASKS = 3  # fp32 tensors of FFN width that noise per token adds to a layer: noise, mask, and what it multiplies
BUFFERS = 5  # in the host's memory, that files of a disk are read into, each of a rank's part of the largest tensor
LAYERS, TABLES = 2, 2  # whole at a time under stage 3: a layer in use and one fetched; both ends
RANKS = (2, 4, 8)  # that `plan` looks at


@dataclass(frozen=True)
class Need:
    """Bytes on the device of one rank, by what they are for."""

    parts: dict[str, float]

    @property
    def total(self) -> float:
        """All together."""
        return sum(self.parts.values())

    def lines(self) -> list[str]:
        """One line each, in GiB."""
        rows = [*self.parts.items(), ("total", self.total)]
        return [f"{name:12} {size / GIB:8.2f} GiB" for name, size in rows]


def estimate(
    shape: Shape, sharding: Sharding, ranks: int, batch: int, length: int, width: int = 2, on_host: bool = False
) -> Need:
    """Memory of a rank that computes `batch` sequences of `length` tokens, weights of `width` bytes.

    Weights are whole under stage 2, a share under stage 3, where some layers at a time and the embeddings are whole
    besides. With offload that share waits elsewhere, see `_share`. Activations are those of all layers, or with
    checkpointing the input of each and the inside of one. Masks are drawn per token, for all layers at once. Logits
    count three times in fp32: themselves, log-softmax and gradient.
    """
    if sharding.stage != 3:
        weights: float = shape.parameters * width
    else:
        share = _share(shape, sharding, ranks, on_host)
        weights = (share + LAYERS * shape.layer_weights + TABLES * shape.vocabulary * shape.hidden) * width
    tokens = batch * length
    inside = tokens * (ACTIVATIONS * shape.hidden + 3 * shape.ffn) * width
    kept = shape.layers * tokens * shape.hidden * width + inside if sharding.checkpointing else shape.layers * inside
    return Need(
        {
            "weights": weights,
            "activations": kept,
            "masks": 4.0 * MASKS * tokens * shape.ffn * shape.layers,
            "logits": 3.0 * tokens * shape.vocabulary * 4,
            "gates": float(GATE_BYTES * (shape.hidden + shape.layers * shape.ffn)),
        }
    )


def _share(shape: Shape, sharding: Sharding, ranks: int, on_host: bool) -> float:
    """A rank's part of the weights as far as it lies in the memory that is counted: the GPU's, or the host's.

    In the host's, `cpu` leaves it where it is, and a disk takes buffers.
    """
    if sharding.offload and (not on_host or sharding.offload != "cpu"):
        return BUFFERS * shape.vocabulary * shape.hidden / ranks if on_host else 0.0
    return shape.parameters / ranks


def stages(cell: Cell) -> dict[str, float]:
    """Bytes of a rank for the ways to hold a cell's model in shards, by the options that ask for them."""
    shape, prune = get_model(cell.preset.model).shape, cell.preset.schedules(cell.task).prune

    def need(sharding: Sharding, ranks: int) -> float:
        """Of one way."""
        batch = -(-prune.batch // (prune.accumulate * ranks))
        return estimate(shape, sharding, ranks, batch, cell.preset.max_length).total

    found = {"--zero-stage 2": need(Sharding(2), RANKS[0])}
    found |= {f"--zero-stage 3 --ranks {count}": need(Sharding(3), count) for count in RANKS}
    found["--zero-stage 3 --offload cpu"] = need(Sharding(3, "cpu"), RANKS[0])
    found["and --gradient-checkpointing"] = need(Sharding(3, "cpu", True), RANKS[0])
    return found
