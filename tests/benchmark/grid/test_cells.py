"""Cells and run keys."""

import dataclasses
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.grid.cells import Cell, plan
from benchmark.grid.methods import METHODS
from benchmark.grid.rows import parse_row
from benchmark.grid.suites import SUITES, get_preset
from vtrans.errors import SuiteError
from vtrans.settings import Schedule


def test_presets_hold_their_rows():
    quick = [cell.row for cell in plan("glue", "quick")]
    assert quick == ["dense", "random-s80", "CoFi-s80", "VTrans-s80", "VTrans-s80+Infor-Coef"]
    small = plan("glue", "small", tasks=["sst2", "mrpc"])
    assert len(small) == 2 * 3 * 18
    assert small[0].row == small[18].row == "dense"


def test_dev_asks_no_zero_shot_questions():
    cells = {split: plan("llm", "small", ["dense", "random-LoRA-s50"], split=split) for split in ("validation", "dev")}
    assert all("zero_shot" in cell.config and "zero_shot_rows" in cell.config for cell in cells["validation"])
    assert not any("zero_shot" in cell.config or "zero_shot_rows" in cell.config for cell in cells["dev"])
    preset = get_preset("small", "llm")
    assert preset.on("validation").zero_shot and not preset.on("dev").zero_shot
    assert cells["dev"] == [Cell("llm", preset, cell.task, cell.row, 0, "dev") for cell in cells["dev"]]


def test_every_method_of_every_preset_builds():
    for name, suite in SUITES.items():
        assert suite.rows.keys() == suite.presets.keys()
        for preset in suite.presets.values():
            for row in suite.rows[preset.name]:
                cell = Cell(name, preset, preset.tasks[0], row, 0)
                assert cell.method.stages() or row == "dense"


def test_keys_are_unique_and_stable():
    grids = [(name, preset) for name, suite in SUITES.items() if not suite.home for preset in suite.presets]
    cells = [cell for suite, preset in grids for cell in plan(suite, preset)]
    keys = [cell.key for cell in cells]
    assert len(set(keys)) == len(keys)
    assert keys == [cell.key for suite, preset in grids for cell in plan(suite, preset)]


def test_key_changes_with_any_hyper_parameter_and_with_the_teacher():
    cell = plan("glue", "quick", ["VTrans-s60"])[0]
    schedules = cell.preset.schedules(cell.task)

    def key(**changes) -> str:
        changed = dataclasses.replace(schedules, **changes)
        return Cell(
            cell.suite, dataclasses.replace(cell.preset, schedules=lambda task: changed), cell.task, cell.row, 0
        ).key

    assert key() == cell.key
    assert key(prune=Schedule(steps=1)) != cell.key
    assert key(finetune=Schedule(steps=1)) != cell.key
    assert key(fast_prune=Schedule(steps=1)) == cell.key  # of other methods


def test_a_row_is_no_prefix_of_another():
    assert [c.row for c in plan("ablations", "small", ["CoFi-s60+Infor-Coef"], ["sst2"], [0])] == ["Infor-Coef-4x"]


def test_methods_can_be_named_whole_or_at_any_size():
    rows = [cell.row for cell in plan("glue", "quick", ["vtrans", "CoFi-s70"])]
    assert rows == ["VTrans-s80", "CoFi-s70"]


@given(st.sampled_from([m for m in METHODS if METHODS[m].sized and not METHODS[m].family]), st.integers(1, 99))
def test_rows_parse_back(method, percent):
    row = parse_row(f"{method}-s{percent}")
    assert (row.method, row.sparsity, row.base, row.loss_scale) == (method, percent / 100, "", 1.0)


def test_a_family_is_a_chain_of_its_sizes(monkeypatch):
    cells = plan("glue", "small", ["vtrans-family", "CoFi-family-s80"], ["sst2"], [0])
    assert [cell.row for cell in cells] == [
        *(f"VTrans-family-s{size}" for size in (40, 60, 80, 90, 95)),
        "CoFi-family-s80",
    ]
    first, second, third, *_ = cells
    assert first.below is None and second.below == first and third.below == second
    assert third.needed == [third.teacher, first, second]
    assert len({cell.key for cell in cells}) == len(cells)
    with pytest.raises(SuiteError, match="VTrans-family-s70 is no size of its family; choose from VTrans-family-s40"):
        parse_row("VTrans-family-s70")
    assert "family" not in third.config
    monkeypatch.setattr(METHODS["VTrans-family"], "family", (0.5, 0.6, 0.8))
    changed = plan("glue", "small", ["VTrans-family-s80"], ["sst2"], [0])[0]
    assert changed.config["family"] == [0.5, 0.6] and changed.key != third.key
    monkeypatch.undo()
    forced_row = parse_row("VTrans-family-s60[precision=fp32]")
    assert forced_row.below == "VTrans-family-s40[precision=fp32]"


@pytest.mark.parametrize(
    ("text", "name", "method", "base", "loss_scale"),
    [
        ("transkimmer", "Transkimmer", "Transkimmer", "", 1),
        ("infor-coef-4X", "Infor-Coef-4x", "Infor-Coef", "CoFi-s60", 1),
        ("Infor-Coef-16x@2", "Infor-Coef-16x@2", "Infor-Coef", "CoFi-s95", 2),
        ("vtrans+infor-coef", "VTrans+Infor-Coef", "Infor-Coef", "VTrans-s60", 1),
        ("VTrans-s80+Transkimmer@0.50", "VTrans-s80+Transkimmer@0.5", "Transkimmer", "VTrans-s80", 0.5),
        ("CoFi-s60+Infor-Coef@2", "Infor-Coef-4x@2", "Infor-Coef", "CoFi-s60", 2),
        ("cofi-s60+infor-coef-no-norm", "CoFi-s60+Infor-Coef-no-norm", "Infor-Coef-no-norm", "CoFi-s60", 1),
    ],
)
def test_token_rows_name_their_start_and_loss_scale(text, name, method, base, loss_scale):
    row = parse_row(text)
    assert (row.name, row.method, row.base, row.loss_scale) == (name, method, base, loss_scale)
    assert parse_row(row.name) == row


def test_a_joint_row_starts_from_the_cell_of_its_static_method():
    (cell,) = plan("ablations", "small", ["CoFi-s60+Infor-Coef-no-norm"], ["sst2"], [0])
    (static,) = plan("glue", "small", ["CoFi-s60"], ["sst2"], [0])
    assert cell.base == static
    assert cell.config["base"] == static.config["method"]
    (alone,) = plan("glue", "small", ["Infor-Coef"], ["sst2"], [0])
    assert alone.base == alone.teacher
    assert "base" not in alone.config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": ["VTrns-s60"]}, "did you mean 'VTrans'"),
        ({"rows": ["VTrans-s100"]}, "outside"),
        ({"rows": ["VTrans-s0"]}, "outside"),
        ({"rows": ["VTrans-s60@2"]}, "takes no loss scale"),
        ({"rows": ["Transkimmer@0"]}, "no loss scale above 0"),
        ({"rows": ["CoFi-s60+VTrans-s60"]}, "is not one static method . one token method"),
        ({"rows": ["Transkimmer+Infor-Coef"]}, "is not one static method . one token method"),
        ({"rows": ["CoFi-s60+Infor-Coef-no-norm@2"]}, "takes no loss scale"),
        ({"rows": ["Transkimmer@1.00000001"]}, "no loss scale above 0"),
        ({"rows": ["Transkimmer@\u0663"]}, "no loss scale above 0"),
        ({"rows": ["Infor-Coef-4x-s60"]}, "gives a size to a row that has one"),
        ({"rows": ["Infor-Coff-4x"]}, "did you mean 'Infor-Coef"),
        ({"rows": ["dense-s60"]}, "takes no sparsity"),
        ({"tasks": ["sst3"]}, "did you mean 'sst2'"),
        ({"tasks": ["sst2"]}, "not in preset quick"),
        ({"split": "test"}, "unknown split"),
    ],
)
def test_bad_names(arguments, message):
    with pytest.raises(SuiteError, match=message):
        plan("glue", "quick", **arguments)


def test_unknown_suite_and_preset():
    with pytest.raises(SuiteError, match="did you mean 'glue'"):
        plan("gleu", "quick")
    with pytest.raises(SuiteError, match="did you mean 'small'"):
        plan("glue", "smal")


def test_planning_is_linear_in_cells():
    cells = plan("glue", "paper")
    start = time.monotonic()
    assert len({cell.key for cell in cells}) == len(cells)
    assert time.monotonic() - start < 5  # a guard against quadratic work, not a timing


def test_embeddings_rows_count_all_parameters_and_only_vtrans_gates_the_hidden_units():
    cells = {cell.row: cell for cell in plan("embeddings", "small", tasks=["sst2"], seeds=[0])}
    ours, theirs = cells["VTrans-total-s40"], cells["CoFi-layers-total-s40"]
    assert ours.method.budget == theirs.method.budget
    assert (ours.method.budget.sparsity, ours.method.budget.denominator) == (0.4, "all")
    assert "hidden" in ours.method.sites and "hidden" not in theirs.method.sites
    assert ours.teacher == theirs.teacher == plan("glue", "small", tasks=["sst2"], seeds=[0])[0]
    plain = plan("glue", "small", ["CoFi-s60"], ["sst2"], [0])[0].method
    assert theirs.method.gates == plain.gates and theirs.method.constraint == plain.constraint


def test_what_is_particular_to_an_evaluation_is_in_the_key_and_defaults_are_not():
    quick = get_preset("quick", "llm")
    assert quick.scope == {"evaluation_rows": quick.evaluation_rows}
    assert get_preset("small", "glue").scope == {"evaluation_precision": "fp32"}


def test_a_task_beside_the_preset_s_own_runs_by_name_alone():
    assert {cell.task for cell in plan("squad", "small")} == {"squad"}
    assert {cell.task for cell in plan("squad", "small", tasks=["squad_v2"])} == {"squad_v2"}
