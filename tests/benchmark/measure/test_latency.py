"""Timing: both models in turns, enough batches, quartiles in order. No test of how fast anything is."""

from tiny import tiny_bert, tiny_examples

from benchmark.measure.latency import TIMED, compare, quartiles


def test_compare():
    got = compare(tiny_bert(), tiny_bert(seed=1), tiny_examples(10), 4)
    assert got["timed"] == TIMED >= 30
    assert got["batch"] == 4
    assert 6 <= got["length"] <= 14
    for name in ("dense_ms", "ms", "speedup"):
        low, median, high = got[name]
        assert 0 < low <= median <= high


def test_both_models_are_run_alternately():
    order = []
    dense, small = tiny_bert(), tiny_bert()
    dense.register_forward_pre_hook(lambda *a: order.append("dense"))
    small.register_forward_pre_hook(lambda *a: order.append("small"))
    compare(dense, small, tiny_examples(10), 2)
    assert order == ["dense", "small"] * (len(order) // 2)


def test_each_shape_is_run_once_before_it_is_timed():
    shapes = []
    dense, small = tiny_bert(), tiny_bert()
    small.register_forward_pre_hook(lambda _, args, kwargs: shapes.append(kwargs["input_ids"].shape), with_kwargs=True)
    compare(dense, small, tiny_examples(10), 2)
    assert len(set(shapes)) > 1
    assert sorted(shapes[:-TIMED]) == sorted(set(shapes))


def test_quartiles():
    assert quartiles([4.0, 1.0, 2.0, 3.0, 5.0]) == [2.0, 3.0, 4.0]
