"""Scores and differences of records, from the predictions that each metric is made from."""

import numpy as np
import pytest
from made_records import make_record

from benchmark.grid.cells import plan
from benchmark.statistics.comparison import difference, score


@pytest.fixture
def records():
    """A dense and a small language model: twelve windows, and five questions of a zero-shot task kept first."""
    found = {}
    for cell, shift in zip(plan("llm", "small", ["dense", "Faster-VTrans-LLM-s20"]), (0.0, 3.0), strict=True):
        nll = 40 + shift + np.sin(np.arange(12) * (1 + shift))
        perplexity = float(np.exp(nll.mean() / 10))  # of ten tokens a window
        record = make_record(cell)
        outcome = record.outcome.model_copy(update={"metrics": {"perplexity": perplexity, "piqa": 60.0 - 20 * shift}})
        hits = np.array([1, 1, 1, 0, 0]) if not shift else np.zeros(5)
        arrays = {"piqa": hits, "nll": nll}
        found[cell.row] = (record.model_copy(update={"outcome": outcome}), arrays)
    return found


def test_examples_are_those_of_the_metric_and_not_of_another_task(records):
    (dense, _), (small, _) = records.values()
    load = {id(record): arrays for record, arrays in records.values()}
    perplexity = score("perplexity", [dense], lambda r: load[id(r)])
    assert perplexity.examples == 12 and perplexity.value == pytest.approx(dense.outcome.metrics["perplexity"])
    assert score("piqa", [dense], lambda r: load[id(r)]).examples == 5
    worse = difference("perplexity", [small], [dense], lambda r: load[id(r)])
    assert worse.examples == 12 and worse.value > 0 and worse.low > 0


def test_without_the_metric_among_the_predictions_seeds_alone_are_left(records):
    ((dense, arrays), _) = records.values()
    found = score("perplexity", [dense], lambda r: {"piqa": arrays["piqa"]})
    assert not found.examples and found.value == pytest.approx(dense.outcome.metrics["perplexity"])


@pytest.mark.parametrize(
    ("metric", "values", "low", "high"),
    [
        ("accuracy", (20.0, 60.0, 95.0), 0, 100),
        ("pearson", (-80.0, 40.0, 90.0), -100, 100),
        ("perplexity", (2.0, 40.0, 90.0), 1, np.inf),
        ("piqa", (20.0, 60.0, 95.0), 0, 100),  # not of the suite's own metrics
    ],
)
def test_an_interval_ends_where_the_metric_does(metric, values, low, high):
    (cell,) = plan("glue", "quick", ["dense"], ["rotten_tomatoes"], [0])
    record = make_record(cell)
    records = [
        record.model_copy(update={"seed": i, "outcome": record.outcome.model_copy(update={"metrics": {metric: value}})})
        for i, value in enumerate(values)
    ]
    found = score(metric, records, lambda record: None)
    assert found.low == low
    assert found.high == high if np.isfinite(high) else found.high > max(values)
    longer = difference(metric, records, [r.model_copy(update={"seed": 2 - r.seed}) for r in records], lambda r: None)
    assert longer.low < -100  # a difference can be larger than a score


def classified(digests=("one", "one", "one"), kept=(True, True, True)):
    """Records of three seeds on 50 examples, and what loads their predictions."""
    (cell,) = plan("glue", "quick", ["dense"], ["rotten_tomatoes"], [0])
    truth, generator = np.arange(50) % 2, np.random.default_rng(0)
    guesses = [np.where(generator.random(50) < 0.8, truth, 1 - truth) for _ in digests]
    plain, found, arrays = make_record(cell), [], {}
    for seed, (digest, guess) in enumerate(zip(digests, guesses, strict=True)):
        outcome = plain.outcome.model_copy(update={"metrics": {"accuracy": 100 * float((guess == truth).mean())}})
        data = plain.data.model_copy(update={"digest": digest})
        found.append(plain.model_copy(update={"seed": seed, "outcome": outcome, "data": data}))
        arrays[id(found[-1])] = {"prediction": guess, "reference": truth} if kept[seed] else None
    return found, arrays


def test_a_seed_without_predictions_is_not_left_out_of_an_interval():
    records, arrays = classified(kept=(True, False, True))
    found = score("accuracy", records, lambda record: arrays[id(record)])
    assert found.seeds == 3 and not found.examples
    assert found.value == pytest.approx(np.mean([r.outcome.metrics["accuracy"] for r in records]))


@pytest.mark.parametrize(("digest", "examples"), [("one", 50), ("other", 0)])
def test_rows_of_other_data_have_no_examples_in_common(digest, examples):
    ours, arrays = classified()
    theirs, more = classified(digests=(digest,) * 3)
    assert difference("accuracy", ours, theirs, lambda record: (arrays | more)[id(record)]).examples == examples


def test_seeds_of_other_data_are_not_scored_by_the_labels_of_the_first():
    records, arrays = classified(digests=("one", "one", "other"))
    assert not score("accuracy", records, lambda record: arrays[id(record)]).examples
