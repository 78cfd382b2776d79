"""Leaves of hyper-parameters from text: typed, checked, the same read back."""

from dataclasses import fields, is_dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.grid.methods import METHODS
from benchmark.grid.rows import forced, parse_row, refuse_unused, sized
from vtrans.errors import SuiteError
from vtrans.methods.vtrans import VTrans
from vtrans.overrides import leaf_text, with_leaf, with_precision
from vtrans.settings import QUICK, Budget, Schedule, Setting


def build(name: str):
    return METHODS[name].build(Setting(QUICK, Budget(0.6), scale="quick", layers=3))


def leaves(thing, path=()):
    """Paths of all leaves."""
    parts = {f.name: getattr(thing, f.name) for f in fields(thing)} if is_dataclass(thing) else thing
    for name, value in parts.items():
        if is_dataclass(value) or (isinstance(value, dict) and value):
            yield from leaves(value, (*path, name))
        elif not isinstance(value, dict):
            yield (*path, name)


@pytest.mark.parametrize("name", METHODS)
def test_every_leaf_of_every_method_is_read_back_as_it_is_written(name):
    method = build(name)
    for path in leaves(method):
        assert with_leaf(method, path, leaf_text(method, path), name) == method


@given(st.floats(0, 100))
def test_floats_keep_their_value(value):
    path = ("gates", "rates", "odds")
    changed = with_leaf(build("VTrans"), path, repr(value), "VTrans")
    assert changed.gates.rates.odds == value
    assert with_leaf(build("VTrans"), path, leaf_text(changed, path), "VTrans") == changed


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("gats.rates.odds", "1", "unknown hyper-parameter 'VTrans.gats'; did you mean 'VTrans.gates'"),
        ("gates.rates", "1", "is no single value; choose one of its parts: VTrans.gates.rates.odds"),
        ("gates.rates.odds.x", "1", "has no parts; write VTrans.gates.rates.odds=VALUE"),
        ("gates.rates.odds", "fast", "is not a number"),
        ("gates.rates.odds", "nan", "is not finite"),
        ("gates.rates.odds", "-1", "odds of GateRates is -1, outside"),
        ("prune.steps", "1.5", "is not a whole number"),
        ("prune.lr", "0", r"lr of Schedule is 0, outside \(0, 1\]"),
        ("prune.warmup", "1.1", "outside"),
        ("prune.decay", "cosine", "unknown VTrans.prune.decay 'cosine'"),
        ("prune.embeddings", "yes", "neither True nor False"),
        ("budget.sparsity", "1.5", "outside"),
        ("gates.information.hedden", "1", "did you mean 'VTrans.gates.information.hidden'"),
        ("constraint.warmup", "2", "warmup of Constraint is 2, outside"),
        ("distillation.temperature", "0", "temperature of Distillation is 0, outside"),
    ],
)
def test_what_cannot_be_set_is_named(path, text, message):
    with pytest.raises(SuiteError, match=message):
        with_leaf(build("VTrans"), path.split("."), text, "VTrans")


def test_tuples_dictionaries_and_precision():
    method = with_leaf(build("VTrans"), ["sites"], "heads:ffn", "VTrans")
    assert method.sites == ("heads", "ffn")
    assert with_leaf(method, ["gates", "information", "ffn"], "2e-6").gates.information["ffn"] == 2e-6
    forced = with_precision(VTrans(Budget(0.5), Schedule(), Schedule()), "bf16")
    assert (forced.prune.precision, forced.recover.precision) == ("bf16", "bf16")


@pytest.mark.parametrize(
    ("text", "name", "base"),
    [
        ("cofi-s60[gates.rates.odds=0.1]", "CoFi-s60[gates.rates.odds=0.1]", ""),
        ("infor-coef-4x[rate=1e+2]", "Infor-Coef-4x[rate=1e+2]", "CoFi-s60"),
        ("CoFi-s60[prune.lr=0.1]+Infor-Coef@2[rate=0.1]", "CoFi-s60[prune.lr=0.1]+Infor-Coef@2[rate=0.1]",
         "CoFi-s60[prune.lr=0.1]"),
        ("VTrans-s60[precision=bf16]", "VTrans-s60[precision=bf16]", ""),
        ("Infor-Coef-4x[precision=bf16]", "Infor-Coef-4x[precision=bf16]", "CoFi-s60[precision=bf16]"),
        ("VTrans-s60[precision=auto]", "VTrans-s60", ""),
    ],
)  # fmt: skip
def test_rows_with_settings_parse_back(text, name, base):
    row = parse_row(text)
    assert (row.name, row.base) == (name, base)
    assert parse_row(row.name) == row
    assert row.teacher == ("dense[precision=bf16]" if "precision=bf16" in name else "dense")


@pytest.mark.parametrize(
    ("row", "precision", "name"),
    [
        ("CoFi-s60[prune.lr=0.1]", "bf16", "CoFi-s60[prune.lr=0.1,precision=bf16]"),
        ("CoFi-s60[precision=bf16]", "fp32", "CoFi-s60[precision=fp32]"),
        ("CoFi-s60[prune.lr=0.1]+Infor-Coef@2[rate=0.1]", "bf16",
         "CoFi-s60[prune.lr=0.1]+Infor-Coef@2[rate=0.1,precision=bf16]"),
        ("Infor-Coef-4x[precision=bf16]", "auto", "Infor-Coef-4x"),
    ],
)  # fmt: skip
def test_a_precision_is_forced_on_rows_with_settings(row, precision, name):
    assert forced(row, precision) == name == parse_row(name).name


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("infor-coef-4x", "CoFi-s80+Infor-Coef"),
        ("Infor-Coef-4x@2", "CoFi-s80+Infor-Coef@2"),
        ("CoFi[prune.lr=0.001]", "CoFi-s80[prune.lr=0.001]"),
        ("Infor-Coef-4x[rate=1e+2]", "CoFi-s80+Infor-Coef[rate=1e+2]"),
    ],
)
def test_a_size_takes_the_place_of_the_static_method_s_own(row, name):
    assert sized(row, 0.8) == name


def test_brackets_in_brackets_and_unused_settings_are_refused():
    with pytest.raises(SuiteError, match="is no name of a row"):
        parse_row("CoFi-s60[prune.lr=0.1][precision=bf16]")
    with pytest.raises(SuiteError, match="no row has VTrans.prune.lr; name a method of the rows: Infor-Coef, CoFi"):
        refuse_unused({"CoFi.prune.lr": "1", "VTrans.prune.lr": "1"}, ["Infor-Coef-4x"])
