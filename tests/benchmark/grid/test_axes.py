"""Axes: every point is a row that runs, and the default is what the method does by itself."""

import pytest

from benchmark.grid.axes import AXES, SIZES, get_axis
from benchmark.grid.cells import plan
from vtrans.errors import SuiteError
from vtrans.overrides import leaf_text


@pytest.mark.parametrize("name", AXES)
def test_points_are_rows_of_their_own_beside_a_default(name):
    axis = AXES[name]
    rows = axis.rows(plain=True) + axis.rows(plain=False)
    cells = plan("ablations", "medium", rows, ["sst2"], [0])
    assert len({cell.key for cell in cells}) == len(rows) == len(axis.points) * len(SIZES)
    assert axis.rows(plain=True)
    assert all(not axis.default(point).settings for point in axis.points)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("matching", "distillation.match"),
        ("noise", "noise"),
        ("sharpness", "gates.sharpness"),
        ("multiplier-rate", "constraint.rate"),
        ("size-exponent", "constraint.size_exponent"),
        ("sharpening", "constraint.sharpen"),
    ],
)
def test_the_default_is_labelled_as_what_it_is(name, path):
    (cell,) = plan("glue", "medium", ["VTrans-s60"], ["sst2"], [0])
    (default,) = [point.label for point in AXES[name].points if not point.settings]
    assert leaf_text(cell.method, path.split(".")) == default


def test_an_unknown_axis_is_named():
    with pytest.raises(SuiteError, match="did you mean 'noise'"):
        get_axis("nois")
