"""The schema of a run's record, the file that every table is built from."""

import hashlib
import json
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

REGIMES = ("unpadded", "batch", "sequence")  # of padding


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sparsity(_Strict):
    """Size that was asked for and size that was reached, counted on the materialised model."""

    target: float
    real: float
    quantity: str
    denominator: str


class Parameters(_Strict):
    """Parameters of the compressed and of the dense model, in both denominators."""

    all: int
    encoder: int
    dense_all: int
    dense_encoder: int

    def kept(self, which: str) -> float:
        """Share of the dense model's parameters that is left, of `encoder` or `all`."""
        mine, dense = (self.encoder, self.dense_encoder) if which == "encoder" else (self.all, self.dense_all)
        return mine / dense


class Macs(_Strict):
    """Mean MACs per sequence over the evaluated rows, by padding regime (unpadded, batch, sequence)."""

    compressed: dict[str, float]
    dense: dict[str, float]
    fixed_length: int

    @field_validator("compressed", "dense")
    @classmethod
    def _all_regimes(cls, value: dict[str, float]) -> dict[str, float]:
        if set(value) != set(REGIMES) or min(value.values()) <= 0:
            raise ValueError(f"MACs are positive numbers of {', '.join(REGIMES)}")
        return value

    def speedup(self, regime: str) -> float:
        """MACs of the dense model over the compressed one's in a padding regime."""
        return self.dense[regime] / self.compressed[regime]


class Predictions(_Strict):
    """The file of a run's per-example predictions, beside the record.

    Attributes:
        file: its name.
        sha256: its digest.
        arrays: type and length of each array in it.
    """

    file: str
    sha256: str
    arrays: dict[str, tuple[str, int]]


class Ranks(_Strict):
    """How several processes trained a model together.

    Attributes:
        count: of the processes.
        stage: of ZeRO; 0 where each held the model whole.
        offload: where shards waited: empty for the device, `cpu` or `nvme`.
        checkpointing: whether activations were computed again in the backward pass.
        peak_memory_bytes: of each, on its GPU, or of its host memory where it has none; None where nobody can tell.
        tokens_per_second: trained on by all together, padding included; None where nothing trained.
    """

    count: int
    stage: int
    offload: str
    checkpointing: bool
    peak_memory_bytes: list[int | None]
    tokens_per_second: int | None = None


class Compute(_Strict):
    """What a run was computed with.

    Attributes:
        precision: of each training stage.
        evaluation_precision: of the metrics.
        threads: of the process.
        training_flops: of all training stages, two per multiply-accumulate; None where they were not metered. A
            teacher counts in the steps that it runs in, and not where its outputs are kept (`report["teacher"]`), so
            that only runs of one kind compare.
        matmul_flops_per_second: that a large matrix product reaches on the machine, by precision.
        utilisation: share of that rate that training reached, over its wall-clock.
        peak_memory_bytes: of the host's memory during this run alone; None where the system cannot tell.
        peak_device_bytes: likewise of the GPU's.
        ranks: of several processes, how they trained; None, and left out of the file, for one.
    """

    precision: dict[str, str]
    evaluation_precision: str
    threads: int
    training_flops: float | None = None
    matmul_flops_per_second: dict[str, float] = {}
    utilisation: float | None = None
    peak_memory_bytes: int | None = None
    peak_device_bytes: int | None = None
    ranks: Ranks | None = None

    @model_serializer(mode="wrap")
    def _without_ranks(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = handler(self)
        if self.ranks is None:  # so that records from before there were any keep their digests
            del found["ranks"]
        return found


class Provenance(_Strict):
    """Where a record came from."""

    git_commit: str
    git_dirty: bool
    versions: dict[str, str]
    hardware: dict[str, Any]
    started: str
    finished: str


class Data(_Strict):
    """The rows of a run."""

    source: str
    digest: str
    train_rows: int
    evaluation_rows: int
    split: str
    caveat: str = ""
    label_check: str = ""


class Outcome(_Strict):
    """What a complete run measured."""

    metrics: dict[str, float]
    sparsity: Sparsity | None
    parameters: Parameters
    macs: Macs
    tokens: list[float] | None = Field(
        None, description="share of tokens that each layer keeps, where some are dropped"
    )
    latency: list[dict[str, Any]]
    seconds: dict[str, float] = Field(description="wall-clock of each stage, evaluation left out")
    compute: Compute
    predictions: Predictions | None = None  # None of a task that gives none, and of records older than predictions
    report: dict[str, Any]

    def time_speedup(self, index: int) -> float | None:
        """Median measured speed-up over dense, of the smaller batch (0) or of the larger one (1); None if not timed."""
        return float(self.latency[index]["speedup"][1]) if self.latency else None

    def efficiency(self, index: int) -> float | None:
        """Measured speed-up over that in MACs: unpadded for the smaller batch, padded in batches for the larger."""
        speedup = self.time_speedup(index)
        return speedup / self.macs.speedup(("unpadded", "batch")[index]) if speedup else None

    @field_validator("latency")
    @classmethod
    def _two_timings(cls, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return check_latency(value)


def check_latency(value: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Raise `ValueError` where latencies are not two, or none, each with a batch and quartiles of the speed-up."""
    if len(value) not in (0, 2) or not all("batch" in each and len(each.get("speedup", ())) == 3 for each in value):
        raise ValueError("two latencies, or none, have a batch and the quartiles of the speed-up")
    return value


class Record(_Strict):
    """One run. Complete ones are never changed; failed and cancelled ones give way to the next try."""

    schema_version: int
    digest: str = ""  # sha256 of the record itself, without this field
    key: str
    suite: str
    preset: str
    task: str
    row: str
    seed: int
    status: Literal["complete", "failed", "cancelled"]
    error: str | None = None
    config: dict[str, Any]
    data: Data | None = None
    model: dict[str, str] | None = None
    provenance: Provenance
    outcome: Outcome | None = None

    @model_validator(mode="after")
    def _complete_has_all(self) -> "Record":
        if self.status == "complete" and not (self.outcome and self.data and self.model):
            raise ValueError("a complete record has an outcome, data and model")
        if self.outcome and not self.outcome.metrics:
            raise ValueError("an outcome has metrics")
        return self

    def sealed(self) -> "Record":
        """The record with its digest."""
        return self.model_copy(update={"digest": self.own_digest()})

    def own_digest(self) -> str:
        """sha256 of everything but the digest."""
        content = self.model_dump(mode="json", exclude={"digest"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
