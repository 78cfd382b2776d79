"""Latency as a budget: the table's interpolation, and pruning to what it says."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import FAMILIES, tiny_bert, tiny_examples

from vtrans.anatomy import anatomy_of
from vtrans.methods.base import CompressionState
from vtrans.methods.vtrans import VTrans
from vtrans.pruning.counts import Counts
from vtrans.pruning.latency_table import LatencyTable, bilinear, measure_table
from vtrans.settings import Budget, Schedule
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext


@given(st.floats(0, 3), st.floats(-1, 6), st.integers(0, 20))
def test_interpolation_is_exact_for_a_product_of_lines_and_flat_outside(x, y, seed):
    xs, ys = torch.tensor([0.0, 1.0, 3.0]), torch.tensor([0.0, 2.0, 5.0])
    a, b, c, d = torch.randn(4, generator=torch.Generator().manual_seed(seed)).tolist()

    def value(x, y):
        return a + b * x + c * y + d * x * y

    table = torch.tensor([[value(float(i), float(j)) for j in ys] for i in xs])
    found = bilinear(xs, ys, table, torch.tensor(x), torch.tensor([y]))
    assert float(found) == pytest.approx(value(x, min(max(y, 0), 5)), abs=1e-4)


def linear_table(anatomy) -> LatencyTable:
    """A device where a head takes 1 ms and an FFN unit 0.1 ms at full width, in proportion to the hidden width."""
    hidden, heads, ffn = float(anatomy.hidden), float(max(anatomy.heads)), float(max(anatomy.ffn))
    return LatencyTable(
        32, 16, (1.0, hidden), (0.0, heads), (0.0, ffn), (0.5, 0.5),
        ((0.0, heads / hidden), (0.0, heads)), ((0.0, 0.1 * ffn / hidden), (0.0, 0.1 * ffn)),
    )  # fmt: skip


def test_milliseconds_by_hand_and_their_gradient():
    anatomy = anatomy_of(tiny_bert())
    table, n = linear_table(anatomy), Counts.dense(anatomy)
    total = table.milliseconds(n)
    assert float(total) == pytest.approx(0.5 + 3 * (4 + 3.2))
    heads = n.heads.clone().requires_grad_()
    milliseconds = table.milliseconds(Counts(n.hidden, heads, n.ffn, n.attention, n.ffn_layer))
    milliseconds.backward()
    assert heads.grad.tolist() == pytest.approx([1.0] * 3)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_measured_table_has_all_widths_and_never_falls(family, tmp_path):
    model = FAMILIES[family]()
    table = measure_table(model, 2, 8)
    anatomy = anatomy_of(model)
    assert table.hidden[-1] == anatomy.hidden and table.heads[-1] == max(anatomy.heads)
    for rows in (table.attention, table.feed):
        assert all(row[0] == 0 and list(row) == sorted(row) for row in rows)
    assert all(value > 0 for value in table.stem)
    table.write(tmp_path / "latency.json")
    assert LatencyTable.read(tmp_path / "latency.json") == table
    assert [path.name for path in tmp_path.iterdir()] == ["latency.json"]


def test_a_table_that_cannot_be_written_whole_is_not_there(tmp_path, monkeypatch):
    def fill(self, text):
        self.write_bytes(text[:9].encode())
        raise OSError("No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", fill)
    with pytest.raises(OSError, match="No space left"):
        linear_table(anatomy_of(tiny_bert())).write(tmp_path / "latency.json")
    assert not (tmp_path / "latency.json").exists()


def test_pruning_meets_a_latency_and_goes_on_with_its_table(tmp_path):
    model = tiny_bert(hidden_size=48, intermediate_size=128)
    table = linear_table(anatomy_of(model))
    table.write(tmp_path / "latency.json")
    schedule = Schedule(steps=8, batch=8, lr=1e-3, precision="fp32")
    work = CompressionState(Teacher(model), tiny_examples(), 0, RunContext(folder=tmp_path))
    small = VTrans(Budget(0.5, "latency"), schedule, schedule).compress(work)
    left = table.milliseconds(Counts.dense(anatomy_of(small))) / table.milliseconds(Counts.dense(anatomy_of(model)))
    assert float(left) == pytest.approx(0.5, abs=0.02)
    assert work.report["latency_table"]["batch"] == 32
