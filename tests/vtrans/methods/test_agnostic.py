"""A pruned encoder under another head."""

import pytest
import torch
from tiny import inputs, random_decision, tiny_bert, tiny_bert_mlm, tiny_roberta, tiny_roberta_mlm

from vtrans.anatomy import Widths, anatomy_of
from vtrans.methods.agnostic import move_encoder
from vtrans.pruning.masks import Masks
from vtrans.pruning.surgery import materialise

PAIRS = pytest.mark.parametrize(
    ("words", "task"), [(tiny_bert_mlm, tiny_bert), (tiny_roberta_mlm, tiny_roberta)], ids=["bert", "roberta"]
)


@PAIRS
def test_the_encoder_moves_whole(words, task):
    small = materialise(words(), random_decision(words(), 1, 0.0))
    moved = move_encoder(small, task(seed=5)).eval()
    assert Widths.of(moved) == Widths.of(small)
    with torch.no_grad():
        states = [model.base_model(**inputs()).last_hidden_state for model in (moved, small)]
        assert torch.equal(*states)
        assert moved(**inputs()).logits.shape == (3, 2)


@PAIRS
def test_readers_are_kept_where_no_hidden_unit_is_gone(words, task):
    drawn = random_decision(words(), 1, 0.0)
    decision = Masks.of(torch.ones(24), drawn.heads, drawn.ffn, drawn.attention_layer, drawn.ffn_layer)
    head = task(seed=5)
    before = {path: head.get_submodule(path).weight.clone() for path in anatomy_of(head).output_linears}
    moved = move_encoder(materialise(words(), decision), head)
    assert all(torch.equal(moved.get_submodule(path).weight, weight) for path, weight in before.items())
