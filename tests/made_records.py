"""Records that are made in a test."""

from benchmark.grid.cells import SCHEMA, Cell
from benchmark.records.provenance import now, provenance
from benchmark.records.schema import Compute, Data, Macs, Outcome, Parameters, Record, Sparsity


def make_record(cell: Cell, accuracy: float = 80.0, status: str = "complete", seconds: float = 10.0) -> Record:
    outcome = Outcome(
        metrics={"accuracy": accuracy},
        sparsity=Sparsity(target=0.6, real=0.601, quantity="parameters", denominator="encoder"),
        parameters=Parameters(all=50, encoder=40, dense_all=100, dense_encoder=100),
        macs=Macs(
            compressed={"unpadded": 4.0, "batch": 5.0, "sequence": 8.0},
            dense={"unpadded": 8.0, "batch": 20.0, "sequence": 20.0},
            fixed_length=64,
        ),
        latency=[{"batch": b, "speedup": [1.0, s, 3.0]} for b, s in ((1, 1.5), (32, 2.5))],
        seconds={"0-prune": seconds},
        compute=Compute(precision={"0-prune": "fp32"}, evaluation_precision="fp32", threads=1),
        report={},
    )
    return Record(
        schema_version=SCHEMA,
        key=cell.key,
        suite=cell.suite,
        preset=cell.preset.name,
        task=cell.task,
        row=cell.row,
        seed=cell.seed,
        status=status,
        config=cell.config,
        data=Data(source="made", digest="0", train_rows=7, evaluation_rows=5, split="validation"),
        model={"name": "m", "sha256": "0", "note": ""},
        provenance=provenance(now()),
        outcome=outcome if status == "complete" else None,
    )
