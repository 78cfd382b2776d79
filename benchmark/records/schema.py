"""The schema of a run's record, the file that every table is built from."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

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


class Macs(_Strict):
    """Mean MACs a sequence over the evaluated rows, by padding regime (unpadded, batch, sequence)."""

    compressed: dict[str, float]
    dense: dict[str, float]
    fixed_length: int

    @field_validator("compressed", "dense")
    @classmethod
    def _all_regimes(cls, value: dict[str, float]) -> dict[str, float]:
        if set(value) != set(REGIMES) or min(value.values()) <= 0:
            raise ValueError(f"MACs are positive numbers of {', '.join(REGIMES)}")
        return value


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
    peak_memory_bytes: int
    report: dict[str, Any]

    @field_validator("latency")
    @classmethod
    def _two_timings(cls, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len(value) != 2 or not all("batch" in each and len(each.get("speedup", ())) == 3 for each in value):
            raise ValueError("two latencies have a batch and the quartiles of the speed-up")
        return value


class Record(_Strict):
    """One run. Complete ones are never changed; failed and cancelled ones give way to the next try."""

    schema_version: int
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
