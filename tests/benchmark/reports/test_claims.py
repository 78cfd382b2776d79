"""Claims are read strictly, and verdicts follow from the records alone."""

import numpy as np
import pytest
from made_records import make_record

from benchmark.grid.cells import plan
from benchmark.records.attention import Attention, write_attention
from benchmark.records.predictions import write_predictions
from benchmark.records.provenance import now
from benchmark.records.store import Store
from benchmark.records.timings import Timing, write_timing
from benchmark.reports.attention.heads import TARGETS
from benchmark.reports.claims import declared, page
from benchmark.reports.claims.declared import Claim, Condition
from benchmark.reports.claims.verdicts import judge
from vtrans.errors import SuiteError

HEAD = 'paper = "P (2020)"\nwhere = "table 1"\nstatement = "S."\ndiffers = "nothing"\n'


def claim(*tests: Condition) -> Claim:
    return Claim(id="c", paper="P (2020)", where="table 1", statement="S.", differs="nothing", conditions=tests)


def above(row: str, against: str, bound: float = 0.0, **more) -> Condition:
    return Condition(quantity="metric", row=row, against=against, tasks=("sst2",), at_least=bound, **more)


@pytest.fixture
def store(tmp_path):
    """Three seeds of four rows on 400 examples: dense 90 %, VTrans 85 %, CoFi 84.5 %, random 70 %."""
    found, truth = Store(tmp_path, "glue", "small"), np.random.default_rng(0).integers(2, size=400)
    for row, right in {"dense": 360, "VTrans-s60": 340, "CoFi-s60": 338, "random-s60": 280}.items():
        for cell in plan("glue", "small", [row], ["sst2"]):
            order = np.random.default_rng([cell.seed, right]).permutation(400)
            guess = np.where(np.isin(np.arange(400), order[:right]), truth, 1 - truth)
            record = make_record(cell, 100 * right / 400, seconds=5 if row == "dense" else 20)
            kept = write_predictions(found.path(cell), {"prediction": guess, "reference": truth})
            outcome = record.outcome.model_copy(update={"predictions": kept})
            found.write(cell, record.model_copy(update={"outcome": outcome}))
    return found


@pytest.mark.parametrize(
    ("test", "verdict"),
    [
        (above("VTrans-s60", "random-s60"), "supported"),
        (above("random-s60", "dense", -1.0), "contradicted"),
        (above("VTrans-s60", "CoFi-s60"), "inconclusive"),
        (above("VTrans-s60", "dense", 0.8, relation="ratio"), "supported"),
        (above("magnitude-s60", "dense"), "not run"),
        (Condition(quantity="MACs speed-up, batch", row="VTrans-s60", tasks=("sst2",), at_least=4.0), "supported"),
        (Condition(quantity="MACs speed-up, batch", row="VTrans-s60", tasks=("sst2",), at_most=3.9), "contradicted"),
        (
            Condition(
                quantity="training seconds",
                row="VTrans-s60",
                against="dense",
                relation="ratio",
                tasks=("sst2",),
                at_most=4.0,
            ),
            "supported",
        ),
    ],
)
def test_verdicts(store, test, verdict):
    # Beside a comparison that was run: with none at all there is nothing to judge.
    beside = above("dense", "random-s60")
    judged = judge([claim(test), claim(beside)], store.root)
    assert judged[0].verdict == verdict
    text = page.markdown(judged)
    assert f"## c: {verdict}" in text
    if verdict == "not run":
        assert "vtrans-bench run glue --preset small --methods magnitude-s60 --tasks sst2`" in text
        assert "machine-hours" in text


def test_one_failed_comparison_contradicts_and_an_open_one_leaves_open(store):
    good, bad, open_ = above("VTrans-s60", "random-s60"), above("random-s60", "dense"), above("VTrans-s60", "CoFi-s60")
    verdicts = [judge([claim(*tests)], store.root)[0].verdict for tests in ((good, open_), (good, open_, bad), (good,))]
    assert verdicts == ["inconclusive", "contradicted", "supported"]


def test_times_measured_later_decide(store):
    faster = Condition(quantity="time speed-up, batch 32", row="VTrans-s60", tasks=("sst2",), at_least=10.0)
    assert judge([claim(faster)], store.root)[0].verdict == "contradicted"  # 2.5 in the runs themselves
    for cell in plan("glue", "small", ["VTrans-s60"], ["sst2"]):
        latency = [{"batch": batch, "speedup": [11.0, 12.0, 13.0]} for batch in (1, 32)]
        machine = {"processor": "chip", "cores": 2, "threads": 2}
        write_timing(store, cell, Timing(key=cell.key, widths={}, latency=latency, hardware=machine, measured=now()))
    assert judge([claim(faster)], store.root)[0].verdict == "supported"


def test_heads_that_were_probed_decide(store):
    """72 heads of three seeds, of which those that look least at special tokens are kept."""
    special = np.random.default_rng(0).random((6, 12))
    kept = [[int(i) for i in np.flatnonzero(layer < np.median(special))] for layer in special]
    asked = {"row": "VTrans-s60", "tasks": ("sst2",)}
    tests = [
        Condition(quantity="rho within layers of kept heads with attention to special tokens", at_most=0.0, **asked),
        Condition(quantity="rho within layers of kept heads with attention to content words", at_most=0.0, **asked),
    ]
    beside = above("dense", "random-s60")
    before = judge([claim(tests[0]), claim(beside)], store.root)
    assert before[0].verdict == "not run" and "the row says nothing of it" in page.markdown(before)
    shares = np.stack([special, *[(1 - special) / 4] * 4], -1)
    for cell in plan("glue", "small", ["VTrans-s60"], ["sst2"]):
        record = store.read(cell)
        outcome = record.outcome.model_copy(
            update={"report": record.outcome.report | {"pruning": {"heads_kept": kept}}}
        )
        store.path(cell).unlink()
        store.write(cell, record.model_copy(update={"outcome": outcome}))
        text = page.markdown(judge([claim(tests[0]), claim(beside)], store.root))
        assert (f"`vtrans-bench probe {store.runs}/sst2--VTrans-s60--" in text) == (cell.seed == 0)
        found = Attention(
            key=cell.key,
            model_sha256="",
            rows=9,
            targets=TARGETS,
            shares=shares.tolist(),
            provenance=record.provenance,
        )
        write_attention(store.path(cell), found)
    judged = judge([claim(tests[0]), claim(tests[1]), claim(beside)], store.root)
    assert [each.verdict for each in judged[:2]] == ["supported", "contradicted"]
    assert "3 seeds, 72 heads" in page.markdown(judged)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("", r"no \[\[claim\]\]"),
        ("[[claim", "is no TOML"),
        ("[[claim]]\nid = 'c'\n", "does not fit"),
        ("claim = 5", "does not fit"),
    ],
)
def test_a_file_of_claims_that_does_not_serve_is_named(tmp_path, text, message):
    path = tmp_path / "own.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SuiteError, match=message):
        declared.load(path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            'quantity = "rho within layers of kept heads with attention to content words", against = "dense"',
            "is of one row",
        ),
        ('quantity = "metric", against_task = "mrpc"', "scores of two tasks"),
        ('quantity = "macs"', "quantity"),
        ('quantity = "metric", relation = "ratio"', "ask for against"),
        ('quantity = "metric", against_suite = "lm"', "ask for against"),
        ('quantity = "training FLOPs", against_quantity = "training seconds"', "ask for against"),
        ('quantity = "metric", against = "dense", against_quantity = "training seconds"', "numbers of records"),
        ('quantity = "training FLOPs", against = "dense", against_quantity = "secs"', "quantity"),
        (
            'quantity = "training FLOPs", against = "VTrans-s60", against_quantity = "training FLOPs"',
            "compared with itself",
        ),
        ('quantity = "rho within layers of kept heads with attention to content words", over = "mean"', "each task"),
        ('quantity = "training FLOPs", against_task = "sst2"', "compared with itself"),
        ('quantity = "metric", suite = "squad"', "task of squad under small"),
        ('quantity = "metric", preset = "medium", suite = "squad"', "preset of squad"),
    ],
)
def test_conditions_that_say_nothing_are_refused(tmp_path, more, message):
    path = tmp_path / "own.toml"
    condition = f'{{ {more}, row = "VTrans-s60", tasks = ["sst2"], at_least = 0.0 }}'
    path.write_text(f'[[claim]]\nid = "c"\n{HEAD}conditions = [{condition}]\n')
    with pytest.raises(SuiteError, match=message):
        declared.load(path)


def test_a_bound_is_a_number_and_a_divisor_of_zero_gives_none(store):
    for bound in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            above("VTrans-s60", "CoFi-s60", bound)
    nothing = Condition(
        quantity="distance from the target size, points",
        row="VTrans-s60",
        against="CoFi-s60",
        relation="ratio",
        tasks=("sst2",),
        at_most=1.0,
    )
    for cell in plan("glue", "small", ["CoFi-s60"], ["sst2"]):
        record = store.read(cell)
        exact = record.outcome.sparsity.model_copy(update={"real": record.outcome.sparsity.target})
        store.path(cell).unlink()
        store.write(cell, record.model_copy(update={"outcome": record.outcome.model_copy(update={"sparsity": exact})}))
    judged = judge([claim(nothing), claim(above("dense", "random-s60"))], store.root)
    assert judged[0].verdict == "inconclusive" and "| nan " in page.markdown(judged)


def test_a_score_over_one_of_zero_is_no_number(tmp_path):
    """Matthews' correlation of a model that gives one class; its records keep no predictions."""
    store = Store(tmp_path, "glue", "small")
    for row, scores in {"dense": (0.0, 20.0, 30.0), "CoFi-s60": (10.0, 20.0, 30.0)}.items():
        for cell in plan("glue", "small", [row], ["cola"]):
            record = make_record(cell, 70.0)
            outcome = record.outcome.model_copy(update={"metrics": {"matthews_correlation": scores[cell.seed]}})
            store.write(cell, record.model_copy(update={"outcome": outcome}))
    asked = above("CoFi-s60", "dense", 0.5, relation="ratio").model_copy(update={"tasks": ("cola",)})
    judged = judge([claim(asked)], tmp_path)
    assert judged[0].verdict == "inconclusive" and judged[0].comparisons[0].p is None


def set_speedups(store, row, task, *speedups):
    """Records of a row whose MACs in batches are those of dense over `speedups`, one a seed."""
    for cell, speedup in zip(plan("glue", "small", [row], [task]), speedups, strict=False):
        record = make_record(cell, 80.0)
        macs = {regime: of / speedup for regime, of in record.outcome.macs.dense.items()}
        whole = record.outcome.macs.model_copy(update={"compressed": macs})
        store.path(cell).unlink(missing_ok=True)
        store.write(cell, record.model_copy(update={"outcome": record.outcome.model_copy(update={"macs": whole})}))


@pytest.mark.parametrize(
    ("speedups", "verdict"),
    [
        ((9.0, 10.0, 11.0), "inconclusive"),  # far from 0, at the bound
        ((19.0, 20.0, 21.0), "supported"),
        ((9.9999, 9.9998, 9.9999), "contradicted"),  # the same but for rounding, on one side
        ((9.9995, 10.0003, 9.9999), "inconclusive"),  # the same but for rounding, on both sides
        ((19.0,), "inconclusive"),
    ],
)
def test_a_count_is_held_to_its_bound(store, speedups, verdict):
    set_speedups(store, "CoFi-s95", "sst2", *speedups)
    asked = {"quantity": "MACs speed-up, batch", "row": "CoFi-s95", "tasks": ("sst2",), "at_least": 10.0}
    for over in ("each", "mean"):
        assert judge([claim(Condition(**asked, over=over))], store.root)[0].verdict == verdict


def test_a_mean_has_no_more_seeds_than_the_task_with_the_fewest(store):
    set_speedups(store, "CoFi-s95", "sst2", 19.0, 20.0, 21.0)
    set_speedups(store, "CoFi-s95", "mrpc", 20.0)
    asked = {"quantity": "MACs speed-up, batch", "row": "CoFi-s95", "over": "mean", "at_least": 10.0}
    judged = judge([claim(Condition(**asked, tasks=("sst2", "mrpc")))], store.root)[0]
    assert judged.verdict == "inconclusive" and judged.comparisons[0].found.seeds == 1


def test_the_other_row_may_lie_in_another_suite(store):
    set_speedups(store, "CoFi-s60", "sst2", 2.0, 2.1, 2.2)
    other = Store(store.root, "ablations", "small")
    for cell in plan("ablations", "small", ["CoFi-s60+Infor-Coef-skim"], ["sst2"]):
        other.write(cell, make_record(cell, 80.0))  # 4 times
    asked = {"quantity": "MACs speed-up, batch", "row": "CoFi-s60", "relation": "ratio", "tasks": ("sst2",)}
    test = Condition(**asked, against="CoFi-s60+Infor-Coef-skim", against_suite="ablations", at_most=0.7)
    judged = judge([claim(test)], store.root)[0]
    assert judged.verdict == "supported" and judged.comparisons[0].found.value == pytest.approx(2.1 / 4)


def test_commands_run_what_is_missing_and_no_more(store):
    tests = [
        Condition(quantity="metric", row=row, tasks=tasks, at_least=0.0)
        for row, tasks in (("VTrans-s70", ("sst2",)), ("CoFi-s70", ("mrpc",)), ("random-s70", ("mrpc",)))
    ]
    text = page.markdown(judge([claim(*tests), claim(above("dense", "random-s60"))], store.root))
    assert "--methods VTrans-s70 --tasks sst2`" in text and "--methods CoFi-s70,random-s70 --tasks mrpc`" in text


def test_a_bar_in_a_statement_does_not_break_the_table(store):
    barred = claim(above("dense", "random-s60")).model_copy(update={"statement": "a | b"})
    assert "| a \\| b" in page.markdown(judge([barred], store.root))


def test_one_row_is_compared_on_two_tasks(store):
    for cell in plan("glue", "small", ["VTrans-s60"], ["mrpc"]):
        record = make_record(cell, 80.0)
        halved = {regime: macs / 2 for regime, macs in record.outcome.macs.compressed.items()}
        outcome = record.outcome.model_copy(
            update={"macs": record.outcome.macs.model_copy(update={"compressed": halved})}
        )
        store.write(cell, record.model_copy(update={"outcome": outcome}))
    asked = {"quantity": "MACs speed-up, batch", "row": "VTrans-s60", "relation": "ratio", "tasks": ("mrpc",)}
    longer = Condition(**asked, against_task="sst2", at_least=1.9)
    judged = judge([claim(longer)], store.root)
    assert judged[0].verdict == "supported" and judged[0].comparisons[0].found.value == pytest.approx(2)
    assert "VTrans-s60 ÷ the same on sst2 ≥ 1.9" in page.markdown(judged)
    missing = Condition(**asked, against_task="qnli", at_least=1.9)
    (cell, *_) = judge([claim(missing), claim(longer)], store.root)[0].missing
    assert (cell.row, cell.task) == ("VTrans-s60", "qnli")


def test_what_schedules_say_needs_no_record_and_is_no_verdict(store):
    asked = {"row": "VTrans-s60", "against": "Faster-VTrans-s60", "relation": "ratio", "tasks": ("sst2",)}
    cheaper = Condition(quantity="training FLOPs, by plan", at_least=25.0, preset="paper", **asked)
    for preset in ("", "small"):  # whose schedules say nothing of the paper's
        judged = judge([claim(cheaper), claim(above("dense", "random-s60"))], store.root, preset)
        assert [each.verdict for each in judged] == ["holds by construction", "supported"]
    assert judge([claim(cheaper)], store.root / "nothing")[0].comparisons[0].found.value > 25
    beside = judge([claim(cheaper, above("dense", "random-s60"))], store.root)[0]
    assert beside.verdict == "supported"


def test_what_ships_as_by_construction():
    found = {claim.id for claim in declared.load() if all(condition.constructed for condition in claim.conditions)}
    assert {"vtrans-meets-its-size", "vtrans-meets-its-macs", "infor-coef-padding-exaggerates"} <= found
    assert not {"vtrans-gates-arrive-at-the-size", "vtrans-above-cofi"} & found


def test_what_is_so_by_construction_is_no_evidence_and_has_no_p(store):
    asked = {"quantity": "metric", "row": "dense", "against": "random-s60", "tasks": ("sst2",)}
    measured = Condition(**asked, at_least=0.0)
    constructed = measured.model_copy(update={"by_construction": True})
    judged = judge([claim(measured), claim(constructed)], store.root)
    assert [each.verdict for each in judged] == ["supported", "holds by construction"]
    first, second = (each.comparisons[0] for each in judged)
    assert first.found == second.found and first.p == first.found.p and second.p is None  # nothing to correct for
    in_part = constructed.model_copy(update={"tasks": ("sst2", "mrpc")})
    assert [each.verdict for each in judge([claim(in_part)], store.root)[0].comparisons][1] == "not run"
    assert judge([claim(in_part)], store.root)[0].verdict == "holds by construction"
    failing = constructed.model_copy(update={"at_least": 1e9})
    assert judge([claim(failing)], store.root)[0].verdict == "fails by construction"


def test_a_schedule_that_misses_its_bound_fails_by_construction(store):
    asked = {"row": "CoFi-s60", "against": "Faster-VTrans-s60", "relation": "ratio", "tasks": ("sst2",)}
    judged = judge([claim(Condition(quantity="training FLOPs, by plan", at_most=2.0, **asked))], store.root)
    assert judged[0].verdict == "fails by construction" and "## c: fails by construction" in page.markdown(judged)
    fails, holds = (
        Condition(quantity="training FLOPs, by plan", at_most=2.0 if bad else 1e9, **asked) for bad in (True, False)
    )
    # whatever else would be found, and whatever was not run
    for beside in (holds, above("dense", "random-s60"), above("magnitude-s60", "dense")):
        judged = judge([claim(fails, beside), claim(above("dense", "random-s60"))], store.root)
        assert judged[0].verdict == "fails by construction"


def test_a_condition_of_which_no_task_was_run_leaves_a_claim_not_run(store):
    ran, lacks = above("VTrans-s60", "random-s60"), above("magnitude-s60", "dense")
    in_part = ran.model_copy(update={"tasks": ("sst2", "mrpc")})
    found = [judge([claim(*each)], store.root)[0].verdict for each in ((ran, lacks), (in_part,))]
    assert found == ["not run", "supported"]


def test_a_preset_that_a_suite_has_not_is_not_run(store):
    of_lm = Condition(quantity="metric", suite="lm", row="VTrans-s60", tasks=("wikitext2",), at_most=1.0)
    judged = judge([claim(of_lm), claim(above("dense", "random-s60"))], store.root, "small")
    assert [each.verdict for each in judged] == ["not run", "supported"]
    with pytest.raises(SuiteError, match="name another --preset: no claim is on a task of quick"):
        judge([claim(above("VTrans-s60", "CoFi-s60"))], store.root, "quick")
    with pytest.raises(SuiteError, match=r"run vtrans-bench run glue --preset medium .*, about [\d.]+ machine-hours"):
        judge(declared.load(), store.root, "medium")


@pytest.mark.parametrize("quantity", ["metric", "MACs speed-up, batch"])
def test_one_seed_decides_nothing(store, quantity):
    for row in ("dense", "random-s60"):
        for cell in plan("glue", "small", [row], ["sst2"], [1, 2]):
            store.path(cell).unlink()
    lower = above("random-s60", "dense").model_copy(update={"quantity": quantity})
    found = judge([claim(lower)], store.root)[0]
    assert found.verdict == "inconclusive" and found.comparisons[0].p is None
    if quantity == "metric":  # although its interval over examples lies far below the bound
        assert found.comparisons[0].found.high < -10


def test_a_mean_over_tasks_is_one_comparison_of_those_that_were_run(store):
    asked = {"quantity": "MACs speed-up, batch", "row": "VTrans-s60", "over": "mean", "at_least": 2.4}
    before = judge([claim(Condition(**asked, tasks=("sst2", "mrpc")))], store.root)[0]
    for cell in plan("glue", "small", ["VTrans-s60"], ["mrpc"]):
        record = make_record(cell, 80.0)
        scale = (2 + 0.2 * cell.seed) / 2.5  # 4 times in the records of SST-2
        fewer = {regime: macs / scale for regime, macs in record.outcome.macs.compressed.items()}
        outcome = record.outcome.model_copy(
            update={"macs": record.outcome.macs.model_copy(update={"compressed": fewer})}
        )
        store.write(cell, record.model_copy(update={"outcome": outcome}))
    after = judge([claim(Condition(**asked, tasks=("sst2", "mrpc", "qnli")))], store.root)[0]
    (one,), (both,) = before.comparisons, after.comparisons
    assert (
        one.task == "mean of sst2" and both.task == "mean of sst2, mrpc" and {c.task for c in both.missing} == {"qnli"}
    )
    of_mrpc = judge([claim(Condition(**asked | {"over": "each"}, tasks=("mrpc",)))], store.root)[0].comparisons[0].found
    assert both.found.value == pytest.approx((one.found.value + of_mrpc.value) / 2)
    assert both.found.deviation == pytest.approx(of_mrpc.deviation / 2)  # SST-2's does not vary over seeds
    assert after.verdict == "supported" and "mean of sst2, mrpc" in page.markdown([after])


def test_a_number_is_compared_with_another_number_of_the_other_row(store):
    padded = Condition(
        quantity="MACs speed-up, batch",
        row="VTrans-s60",
        against="dense",
        against_quantity="training seconds",
        relation="ratio",
        tasks=("sst2",),
        at_most=0.9,
    )
    judged = judge([claim(padded)], store.root)[0]
    assert judged.comparisons[0].found.value == pytest.approx(4 / 5) and judged.verdict == "supported"
    assert "÷ dense (training seconds) ≤ 0.9" in page.markdown([judged])


def test_how_far_gates_come_by_themselves_is_a_number(store):
    asked = {"row": "VTrans-s60", "tasks": ("sst2",), "at_most": 2.0}
    alone = Condition(quantity="distance from the target size before the threshold moves, points", **asked)
    beside = above("dense", "random-s60")
    assert judge([claim(alone), claim(beside)], store.root)[0].verdict == "not run"
    for cell in plan("glue", "small", ["VTrans-s60"], ["sst2"]):
        record = store.read(cell)
        report = record.outcome.report | {"pruning": {"sparsity_at_threshold_0": 0.55 - 0.001 * cell.seed}}
        store.path(cell).unlink()
        store.write(cell, record.model_copy(update={"outcome": record.outcome.model_copy(update={"report": report})}))
    judged = judge([claim(alone), claim(beside)], store.root)[0]
    assert judged.verdict == "contradicted" and judged.comparisons[0].found.value == pytest.approx(5.1)


def test_classifiers_that_give_one_class_are_no_evidence(store):
    """Two of them are equal on every example, and not known to be."""
    truth = np.random.default_rng(0).integers(2, size=400)
    for row in ("magnitude-s60", "random-s60"):
        for cell in plan("glue", "small", [row], ["sst2"]):
            if store.path(cell).exists():
                store.path(cell).unlink()
            kept = write_predictions(store.path(cell), {"prediction": np.zeros(400, dtype=int), "reference": truth})
            record = make_record(cell, 100 * float((truth == 0).mean()))
            store.write(
                cell, record.model_copy(update={"outcome": record.outcome.model_copy(update={"predictions": kept})})
            )
    found = judge([claim(above("magnitude-s60", "random-s60", -1.0))], store.root)[0]
    assert found.verdict == "inconclusive" and found.comparisons[0].found.value == 0


def test_counts_that_are_sure_lend_scores_nothing(store):
    score = above("VTrans-s60", "dense", -1.0)
    counts = [
        Condition(quantity="encoder parameters kept, %", row="VTrans-s60", tasks=("sst2",), at_most=90.0 + i)
        for i in range(9)
    ]
    alone = judge([claim(score)], store.root)[0].comparisons[0].p
    assert judge([claim(score, *counts)], store.root)[0].comparisons[0].p == alone


def test_more_comparisons_ask_for_more_evidence(store):
    test = above("VTrans-s60", "dense", -1.0)
    alone = judge([claim(test)], store.root)[0].comparisons[0]
    many = judge(
        [claim(test), *[claim(above("VTrans-s60", "CoFi-s60", bound / 100)) for bound in range(20)]], store.root
    )
    assert many[0].comparisons[0].p > alone.p


def test_nothing_run_says_what_to_run(tmp_path):
    with pytest.raises(SuiteError, match=r"--methods VTrans-s60,dense --tasks sst2 --results \S+, about 0.\d"):
        judge([claim(above("VTrans-s60", "dense"))], tmp_path)


def test_the_suites_own_claims_are_read_and_have_sources():
    claims = declared.load()
    assert len(claims) >= 30
    assert {each.paper.split(" (")[0] for each in claims} >= {"VTrans", "Infor-Coef", "CoFi", "Transkimmer", "Fisher"}
    assert all(each.where and each.differs for each in claims)


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (
            'quantity = "metric", row = "VTrns-s60", tasks = ["sst2"], at_least = 1.0',
            "claim 'a' of x.toml: unknown method",
        ),
        (
            'quantity = "speed", row = "VTrans-s60", tasks = ["sst2"], at_least = 1.0',
            "claim 'a' of x.toml: unknown quantity",
        ),
        ('quantity = "metric", row = "dense", tasks = ["sst3"], at_least = 1.0', "claim 'a' of x.toml: unknown task"),
        ('quantity = "metric", row = "dense", tasks = ["sst2"]', "at_least or at_most"),
        ('quantity = "metric", row = "dense", tasks = [], at_least = 1.0', "conditions.0.tasks"),
    ],
)
def test_a_claim_that_does_not_fit_is_named(tmp_path, test, said):
    (tmp_path / "x.toml").write_text(f'[[claim]]\nid = "a"\n{HEAD}conditions = [{{ {test} }}]\n')
    with pytest.raises(SuiteError, match=said):
        declared.load(tmp_path)


def test_two_claims_of_one_name_and_broken_toml(tmp_path):
    condition = '{ quantity = "metric", row = "dense", tasks = ["sst2"], at_least = 1.0 }'
    one = f'[[claim]]\nid = "a"\n{HEAD}conditions = [{condition}]\n'
    (tmp_path / "x.toml").write_text(one + one)
    with pytest.raises(SuiteError, match="two claims are called 'a'"):
        declared.load(tmp_path)
    (tmp_path / "x.toml").write_text("[[claim")
    with pytest.raises(SuiteError, match=r"x\.toml is no TOML"):
        declared.load(tmp_path)


@pytest.mark.parametrize(
    ("quantity", "most"), [("tokens in the last layer, %", 100.0), ("training FLOPs", float("inf"))]
)
def test_a_count_ends_where_it_can(quantity, most):
    from benchmark.reports.claims.numbers import _most

    assert _most(quantity) == most


def test_what_is_to_be_run_goes_to_the_folder_that_was_read(store, tmp_path):
    judged = judge([claim(above("magnitude-s60", "dense")), claim(above("dense", "random-s60"))], store.root)
    text = page.write(judged, store.root).read_text()
    assert f"--methods magnitude-s60 --tasks sst2 --results {store.root}`" in text
    with pytest.raises(SuiteError, match=f"dense,random-s60 --tasks sst2 --results {tmp_path / 'none'}, about"):
        judge([claim(above("dense", "random-s60"))], tmp_path / "none")
