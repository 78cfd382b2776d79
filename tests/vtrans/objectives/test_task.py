"""The loss of a batch is transformers' own, whatever its labels belong to."""

import pytest
import torch
from tiny import inputs, tiny_bert, tiny_bert_mlm, tiny_gpt2, tiny_llama
from transformers import GPT2Config, GPT2ForTokenClassification

from vtrans.anatomy import anatomy_of
from vtrans.data.windows import IGNORED
from vtrans.objectives.task import outputs_and_loss


def token_classifier():
    shape = {"n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 48, "vocab_size": 60, "num_labels": 60}
    return GPT2ForTokenClassification(GPT2Config(**shape))


@pytest.mark.parametrize("make", [tiny_bert, tiny_bert_mlm, tiny_gpt2, tiny_llama, token_classifier])
def test_the_loss_is_that_of_the_model(make):
    model, batch = make().eval(), inputs()
    if make is not tiny_bert_mlm and make is not tiny_bert:
        batch.pop("token_type_ids", None)
    labels = batch["input_ids"].clone()
    labels[0, 3] = IGNORED
    batch["labels"] = torch.tensor([0, 1, 1]) if make is tiny_bert else labels
    _, loss = outputs_and_loss(model, batch, anatomy_of(model).predicts_next_token)
    torch.testing.assert_close(loss, model(**batch).loss)


@pytest.mark.parametrize(("make", "found"), [(tiny_llama, True), (tiny_bert_mlm, False), (token_classifier, False)])
def test_only_a_causal_model_with_a_language_head_predicts_the_next_token(make, found):
    assert anatomy_of(make()).predicts_next_token is found
