"""Transkimmer, PoWER-BERT and Infor-Coef: their losses against worked examples, their stages end to end."""

import copy
import math

import pytest
import torch
from tiny import tiny_bert, tiny_examples, token_lengths

from baselines.infor_coef import InforCoef
from baselines.ltp import LTP
from baselines.parts.retention_search import SoftRetention
from baselines.parts.threshold_search import SoftThreshold
from baselines.parts.token_losses import TokenLosses, entropy_loss, norm_loss, skim_loss
from baselines.parts.token_training import LearnTokens
from baselines.power_bert import PowerBert
from baselines.transkimmer import Transkimmer
from vtrans.anatomy import anatomy_of
from vtrans.errors import RunCancelled
from vtrans.forecast import Forecast
from vtrans.methods.base import CompressionState
from vtrans.pruning.surgery import replace_skipped
from vtrans.settings import QUICK, Budget, Schedule, Setting
from vtrans.teaching.teacher import Teacher
from vtrans.tokens import Predictor, Threshold, attach, token_pruning_encoder
from vtrans.tokens.encoder import PaddedView, TokenDecision, Trace
from vtrans.training.loop import RunContext

SHORT = Schedule(steps=12, batch=8, lr=1e-3)


def trace(probability, hidden=None, real=None, before=None, keep=None) -> Trace:
    p = torch.as_tensor(probability, dtype=torch.float)
    real = torch.ones_like(p, dtype=torch.bool) if real is None else torch.as_tensor(real, dtype=torch.bool)
    before = real.float() if before is None else torch.as_tensor(before, dtype=torch.float)
    keep = torch.ones_like(p) if keep is None else torch.as_tensor(keep, dtype=torch.float)
    hidden = torch.ones(*p.shape, 4) if hidden is None else hidden
    return Trace(hidden, real, before, before * keep, TokenDecision(keep, p, p))


def new_state(run_context: RunContext | None = None, seed: int = 0) -> CompressionState:
    teacher = tiny_bert()
    return CompressionState(Teacher(teacher), tiny_examples(), seed, run_context or RunContext())


def test_entropy_of_a_fair_coin_is_minus_log_2():
    assert entropy_loss([trace([[1.0, 0.5, 0.5]])]).item() == pytest.approx(-math.log(2), rel=1e-4)


def test_entropy_reads_real_tokens_that_enter_and_official_the_first_mask():
    torch.manual_seed(0)
    p = torch.rand(64, 40) * 0.998 + 0.001
    own = entropy_loss([trace(p)]).item()
    official = entropy_loss([trace(p)], "official").item()
    assert own == pytest.approx(-0.5, abs=0.02)  # integral of p log p + (1-p) log(1-p) over [0, 1]
    assert official == pytest.approx(-0.75, abs=0.1)  # -1/4 of its own half, -1/2 of the other one's
    padded = trace([[1.0, 0.5, 0.9]], real=[[1, 1, 0]])
    assert entropy_loss([padded]).item() == pytest.approx(-math.log(2), rel=1e-4)
    gone = trace([[1.0, 0.5, 0.9]], before=[[1, 1, 0]])
    assert entropy_loss([gone]).item() == pytest.approx(-math.log(2), rel=1e-4)


@pytest.mark.parametrize(("batch", "length", "expected"), [(32, 50, 1108), (32, 128, 1773), (16, 50, 784)])
def test_official_norm_is_that_of_the_whole_batch(batch, length, expected):
    torch.manual_seed(0)
    t = trace(torch.ones(batch, length), torch.randn(batch, length, 768))
    assert norm_loss([t, t], "official").item() == pytest.approx(expected, rel=0.002)
    assert norm_loss([t, t]).item() == pytest.approx(0.5, rel=0.01)


def test_norm_follows_the_chance_of_having_been_kept_and_leaves_padding_out():
    half = trace([[1.0, 0.5, 0.5]], real=[[1, 1, 0]])
    assert norm_loss([half]).item() == pytest.approx((1 + 0.25) / 2 / 2)
    assert norm_loss([half, half]).item() == pytest.approx(((1 + 0.25) + (1 + 0.0625)) / 2 / 2 / 2)


def test_skim_counts_kept_tokens_and_official_the_padding_too():
    one = trace([[1.0, 0.5, 0.5, 0.5]], real=[[1, 1, 1, 0]], keep=[[1, 0, 1, 1]])
    assert skim_loss([one]).item() == pytest.approx(2 / 3)
    assert skim_loss([one], "official").item() == pytest.approx(3 / 4)


def test_terms_wait_for_the_warm_up_and_leave_out_what_has_no_weight():
    losses = TokenLosses(entropy=0.1, norm=0.5, warmup=0.25)
    assert set(losses.weighted([trace([[1.0, 0.5]])], 0.2)) == {"entropy"}
    assert set(losses.weighted([trace([[1.0, 0.5]])], 0.25)) == {"entropy", "norm"}
    assert set(TokenLosses(skim=1.0).weighted([trace([[1.0, 0.5]])], 0.0)) == {"skim"}


METHODS = {
    "transkimmer": Transkimmer(SHORT, skim=5.0, rate=0.05),
    "official": Transkimmer(SHORT, skim=5.0, rate=0.05, fidelity="official"),
    "infor-coef": InforCoef(SHORT, TokenLosses(entropy=0.01, norm=5.0, warmup=0.1), rate=0.2),
    "skim": InforCoef(SHORT, TokenLosses(skim=5.0), rate=0.05),
    "power": PowerBert(SHORT, SHORT, length=14, penalty=0.05, rate=0.3),
    "ltp": LTP(SHORT, SHORT, penalty=1.0, rate=0.02, temperature=0.05),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_drop_tokens(name):
    work = new_state()
    before = {k: v.clone() for k, v in work.teacher.model.state_dict().items()}
    small = METHODS[name].compress(work)
    batch = work.train.batch(range(16))
    batch.pop("labels")
    with torch.no_grad():
        assert torch.isfinite(small(**batch).logits).all()
    lengths = token_lengths(small)
    assert (lengths[:, -1, 2] < lengths[:, 0, 0]).float().mean() > 0.5
    assert (lengths >= 1).all()
    assert all(torch.equal(v, work.teacher.model.state_dict()[k]) for k, v in before.items())


@pytest.mark.parametrize("name", METHODS)
def test_methods_run_on_a_model_with_a_layer_pruned_whole(name):
    start = tiny_bert()
    block = anatomy_of(start).blocks[1]
    replace_skipped(start, block.attention_skip)
    replace_skipped(start, block.ffn_skip)
    small = METHODS[name].compress(CompressionState(Teacher(start), tiny_examples(), 0, RunContext()))
    copy.deepcopy(small)
    batch = tiny_examples().batch(range(8))
    batch.pop("labels")
    with torch.no_grad():
        assert torch.isfinite(small(**batch).logits).all()


def test_search_has_no_more_ranks_than_the_model_has_positions():
    work = new_state()
    PowerBert(SHORT, SHORT, length=64, penalty=0.0).compress(work)
    assert work.report["retention"][0] <= 48


def test_without_pressure_nothing_is_dropped():
    small = InforCoef(SHORT, TokenLosses(entropy=4e-4), rate=1e-3).compress(new_state())
    batch = tiny_examples().batch(range(8))
    batch.pop("labels")
    with torch.no_grad():
        small(**batch)
    assert torch.equal(token_lengths(small)[:, -1, 2], batch["attention_mask"].sum(1))


def test_power_bert_reports_its_configuration():
    work = new_state()
    small = METHODS["power"].compress(work)
    found = work.report["retention"]
    assert found == sorted(found, reverse=True)
    assert found == list(token_pruning_encoder(small).selector.lengths)
    assert found[-1] < 14


RESUMED = ("transkimmer", "power", "ltp")


@pytest.mark.parametrize("method", [METHODS[n] for n in RESUMED], ids=RESUMED)
def test_resumed_equals_uninterrupted(method, tmp_path):
    whole = method.compress(new_state())
    stop = RunContext(folder=tmp_path)

    def interrupt(name, step, total, numbers):
        stop.stop = step == 7

    stop.report = interrupt
    with pytest.raises(RunCancelled):
        method.compress(new_state(stop))
    resumed = method.compress(new_state(RunContext(folder=tmp_path)))
    state = whole.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in resumed.state_dict().items())


def test_ltp_reports_its_thresholds_and_more_pressure_raises_them():
    found = []
    for penalty in (0.0, 1.0):
        work = new_state()
        small = LTP(SHORT, SHORT, penalty=penalty, rate=0.02, temperature=0.05).compress(work)
        assert work.report["thresholds"] == list(token_pruning_encoder(small).selector.thresholds)
        found.append(sum(work.report["thresholds"]))
    assert found[1] > found[0] >= 0


def test_soft_thresholds_rise_by_layers_and_grow_sharp_as_the_temperature_falls():
    seen, valid = torch.tensor([[0.0, 0.2, 0.4, 0.6]]), torch.ones(1, 4, dtype=torch.bool)
    soft = SoftThreshold(3, 0.3, 0.1)
    assert soft.thresholds.tolist() == pytest.approx([0.0, 0.1, 0.2])
    decision = soft(1, torch.randn(1, 4, 2), seen, PaddedView(valid))
    expected = [1.0, *torch.sigmoid(torch.tensor([0.1, 0.3, 0.5]) / 0.1).tolist()]
    assert decision.scale_output[0].tolist() == pytest.approx(expected) and bool(decision.keep.all())
    sharp = SoftThreshold(3, 0.9, 1e-4)(1, torch.randn(1, 4, 2), seen, PaddedView(valid)).scale_output
    hard = Threshold([0.0, 0.3, 0.6])(1, torch.randn(1, 4, 2), seen, PaddedView(valid)).keep
    assert torch.equal(sharp.round(), hard) and hard[0].tolist() == [1, 0, 1, 1]


def test_soft_thresholds_scale_what_leaves_a_layer_in_both_forms():
    """Open everywhere, they change nothing; where tokens are below, padded and packed passes fade them alike."""
    batch = tiny_examples().batch(range(6))
    batch.pop("labels")
    model = tiny_bert().eval()
    with torch.no_grad():
        plain = model(**batch).logits
        encoder = attach(model, SoftThreshold(3, 0.12, 0.03))
        found = {}
        for form in ("masked", "gathered"):
            encoder.form = form
            found[form] = model(**batch).logits
        encoder.selector.thresholds.fill_(-1e3)
        opened = model(**batch).logits
    torch.testing.assert_close(found["masked"], found["gathered"], atol=1e-5, rtol=0)
    torch.testing.assert_close(opened, plain, atol=1e-5, rtol=0)
    assert (found["masked"] - plain).abs().max() > 1e-3


def test_soft_retention_starts_as_the_identity_and_its_penalty_weighs_later_layers():
    soft = SoftRetention(3, 5)
    assert soft.penalty().item() == 5 * (1 + 2 + 3)
    assert soft.configuration() == [5, 5, 5]
    with torch.no_grad():
        soft.weights[1] = torch.tensor([1.0, 1.0, 0.6, 0.0, 0.0])
        soft.weights[2] = 0.1
    assert soft.configuration() == [5, 2, 1]
    hidden, seen, valid = torch.randn(1, 4, 2), torch.tensor([[0.0, 1.0, 3.0, 2.0]]), torch.ones(1, 4, dtype=torch.bool)
    scale = soft(1, hidden, seen, PaddedView(valid)).scale
    assert scale[0].tolist() == pytest.approx([1.0, 0.0, 1.0, 0.6])


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_stronger_changes_the_pressure_alone(method):
    double = method.scaled(2.0)
    assert double != method
    assert double.scaled(0.5) == method


@pytest.mark.parametrize("kept", [1.0, 0.2])
def test_the_forecast_counts_predictors_which_pruning_does_not_make_smaller(kept):
    method = Transkimmer.build(Setting(QUICK, Budget(0.5)))
    (stage,) = (stage for stage in method.stages() if isinstance(stage, LearnTokens))
    outlook = Forecast(1000, kept)
    drawn = outlook.drawn(stage.schedule)
    anatomy = anatomy_of(tiny_bert(hidden_size=96, intermediate_size=384))
    dense = 4 * 96**2 + 2 * 96 * 384  # of a layer, per token
    predictor = Predictor.of(anatomy).macs(0, 96) / dense
    assert method.forecast(outlook) == pytest.approx(3 * drawn * (kept + predictor), rel=0.01)


def test_ltp_presses_less_in_short_runs():
    assert LTP.build(Setting(QUICK, Budget(0.5), scale="small")).penalty == 0.01
    assert LTP.build(Setting(QUICK, Budget(0.5), scale="paper")).penalty == 0.1
