"""The paragraph above a table says which machines its rows and its times come from."""

import pytest
from made_records import make_record

from benchmark.grid.cells import plan
from benchmark.reports.notes import notes

MACHINE = {"processor": "chip", "cores": 2, "threads": 2, "capability": "AVX2", "gpu": None, "system": "Linux"}
CELLS = {(cell.row, cell.seed): cell for cell in plan("glue", "small", ["dense", "VTrans-s60", "CoFi-s60"], ["sst2"])}


def made(row, seed, threads=2, **latency):
    """A record of a machine of two cores, of which so many were used; `latency` overwrites its times' entries."""
    record = make_record(CELLS[row, seed], 90)
    provenance = record.provenance.model_copy(update={"hardware": MACHINE | {"threads": threads}})
    times = [each | latency for each in record.outcome.latency]
    outcome = record.outcome.model_copy(update={"latency": times})
    return record.model_copy(update={"provenance": provenance, "outcome": outcome})


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (
            [made("dense", 0), made("VTrans-s60", 0)],
            "seed 0; fixed length 64; training in fp32; run on chip, 2 of 2 cores.",
        ),
        (
            [made("dense", 0), made("VTrans-s60", 0, machine="chip, 1 of 2 cores")],
            "chip, 2 of 2 cores; time measured on chip, 2 of 2 cores; that of VTrans-s60 on chip, 1 of 2 cores.",
        ),
        (
            [made("dense", 0, threads=1), made("VTrans-s60", 0, threads=1), made("CoFi-s60", 0)],
            "run on chip, 1 of 2 cores; CoFi-s60 on chip, 2 of 2 cores; time measured on chip, 1 of 2 cores; "
            "that of CoFi-s60 on chip, 2 of 2 cores.",
        ),
        (
            [made(row, 0, machine="gpu") for row in ("dense", "VTrans-s60")],
            "chip, 2 of 2 cores; time measured on gpu.",
        ),
    ],
)
def test_times_are_said_to_be_of_another_machine(records, said):
    assert notes("sst2", records).endswith(said)


def test_what_is_said_of_reported_rows_is_not_said_of_held_out_ones():
    record = made("dense", 0)
    assert record.data
    for split, said in (
        ("validation", " Note: of two parts."),
        ("dev", "whose reported rows these are not: of two parts."),
    ):
        data = record.data.model_copy(update={"split": split, "caveat": "of two parts"})
        assert notes("sst2", [record.model_copy(update={"data": data})]).endswith(said)


def test_times_of_some_seeds_are_said_to_be_of_those():
    untimed = made("dense", 1)
    untimed = untimed.model_copy(update={"outcome": untimed.outcome.model_copy(update={"latency": []})})
    said = "seeds 0, 1; fixed length 64; training in fp32; run on chip, 2 of 2 cores; "
    said += "time measured on chip, 2 of 2 cores, seed 0."
    assert notes("sst2", [made("dense", 0), untimed]).endswith(said)


def test_rows_that_trained_in_another_precision_are_named():
    half = made("VTrans-s60", 0)
    compute = half.outcome.compute.model_copy(update={"precision": {"0-prune": "bf16"}})
    half = half.model_copy(update={"outcome": half.outcome.model_copy(update={"compute": compute})})
    text = notes("sst2", [made("dense", 0), made("CoFi-s60", 0), half])
    assert "training in fp32; that of VTrans-s60 in bf16; " in text
    untrained = half.outcome.compute.model_copy(update={"precision": {}})
    alone = half.model_copy(update={"outcome": half.outcome.model_copy(update={"compute": untrained})})
    assert "training in" not in notes("sst2", [alone])
