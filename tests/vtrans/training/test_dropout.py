"""Dropout drawn four at a time has the same mean, share and gradient as torch's, and leaves no trace."""

import pytest
import torch
from tiny import inputs, tiny_bert, tiny_gpt2, tiny_llama
from torch import nn

from vtrans.training.dropout import attention, cheap_dropout, draw, dropout, rounded


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_share_mean_and_gradient(p, dtype):
    torch.manual_seed(0)
    x = torch.ones(200, 1001, dtype=dtype, requires_grad=True)
    y = dropout(x, p)
    gone = (y == 0).float()
    assert y.dtype == dtype and float(gone.mean()) == pytest.approx(p, abs=0.005)
    assert float(y.float().mean()) == pytest.approx(1, abs=0.02)
    assert gone.mean(0).std() < 0.05 and gone.mean(1).std() < 0.02  # independent along rows and columns
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_neighbours_that_share_a_draw_are_independent():
    torch.manual_seed(0)
    kept = draw(torch.Size([100_000, 4]), 0.1)
    pairs = torch.corrcoef(kept.T)
    assert (pairs - torch.eye(4)).abs().max() < 0.02


def test_it_follows_torchs_generator():
    torch.manual_seed(5)
    first, second = draw(torch.Size([64]), 0.5), draw(torch.Size([64]), 0.5)
    torch.manual_seed(5)
    assert torch.equal(draw(torch.Size([64]), 0.5), first) and not torch.equal(first, second)
    assert rounded(0.1) == pytest.approx(0.1, abs=2**-17)


@pytest.mark.parametrize("make", [tiny_bert, tiny_gpt2, tiny_llama])
def test_without_dropout_nothing_changes_and_after_the_context_all_is_as_before(make):
    model = make()
    batch = {k: v for k, v in inputs().items() if k in ("input_ids", "attention_mask")}
    before = model(**batch).logits
    with cheap_dropout(model):
        inside = model(**batch).logits
    torch.testing.assert_close(inside, before, atol=1e-5, rtol=1e-5)
    assert model.config._attn_implementation == "sdpa"
    assert not any("forward" in module.__dict__ for module in model.modules())


def test_in_training_every_dropout_is_replaced(monkeypatch):
    model = tiny_bert().train()
    monkeypatch.setattr(nn.functional, "dropout", lambda *a, **k: pytest.fail("torch's own"))
    with cheap_dropout(model):
        first, second = (model(**inputs()).logits for _ in range(2))
    assert not torch.equal(first, second)


def test_attention_drops_probabilities_and_sees_no_padding():
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 5, 4) for _ in range(3))
    mask = torch.ones(2, 1, 5, 5, dtype=torch.bool)
    mask[1, :, :, 3:] = False
    module = nn.Identity()
    plain, _ = attention(module, query, key, value, mask, dropout=0.0)
    drawn = torch.stack([attention(module, query, key, value, mask, dropout=0.1)[0] for _ in range(3000)])
    torch.testing.assert_close(drawn.mean(0), plain, atol=0.05, rtol=0.1)
    value[1, :, 3:] = 1e6
    torch.testing.assert_close(attention(module, query, key, value, mask, dropout=1e-9)[0], plain, atol=1e-4, rtol=1e-4)


def test_layers_that_are_computed_again_drop_the_same_elements():
    """Checkpointed layers run a second time in the backward pass, whose gradients have to be those of the first."""
    from tiny import tiny_examples

    from vtrans.objectives.base import TaskObjective
    from vtrans.settings import Schedule
    from vtrans.training.engine import checkpoint
    from vtrans.training.loop import Loop

    gradients = []
    for checkpointed in (False, True):
        model = tiny_bert()
        if checkpointed:
            checkpoint(model)
        loop = Loop(TaskObjective(model), tiny_examples(), Schedule(steps=1, batch=8, precision="fp32"), 0, "x")
        loop.step(0)
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(again, plain, atol=1e-6, rtol=1e-4)


def test_everything_may_be_dropped():
    assert not dropout(torch.ones(3, 5), 1.0).any()
