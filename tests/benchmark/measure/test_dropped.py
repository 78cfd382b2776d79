"""Where a model drops each token, and the sentences that this is shown on."""

import pytest
import torch
from tiny import TOKEN_FAMILIES

from benchmark.measure.dropped import dropped
from benchmark.tasks import sentences
from benchmark.tasks.kind import kind_of
from benchmark.tasks.registry import TASKS
from vtrans.data.examples import Examples
from vtrans.tokens import Retention, attach


class Tokenizer:
    """Names tokens by their ids."""

    def convert_ids_to_tokens(self, ids):
        return [str(each) for each in ids]


def examples():
    return Examples([[5, 6, 7, 8, 9], [5, 6, 7]], [[0] * 5, [0] * 3], torch.tensor([0, 1]), 0)


@pytest.mark.parametrize("family", TOKEN_FAMILIES)
def test_layers_say_how_many_tokens_each_ffn_sees(family):
    model = TOKEN_FAMILIES[family]().eval()
    attach(model, Retention([4, 4, 2]))
    long, short = dropped(model, examples(), Tokenizer())
    assert long["tokens"] == ["5", "6", "7", "8", "9"] and short["tokens"] == ["5", "6", "7"]
    assert sorted(long["layers"]) == [0, 0, 1, 3, 3] and sorted(short["layers"]) == [0, 0, 3]
    assert long["layers"][0] == short["layers"][0] == 0  # the first token always stays


def test_a_model_that_drops_none_has_none_to_show():
    assert dropped(TOKEN_FAMILIES["bert"]().eval(), examples(), Tokenizer()) == []


@pytest.mark.parametrize("name", [task.name for task in TASKS.values() if kind_of(task).allows_token_dropping])
def test_each_task_whose_models_may_drop_tokens_has_sentences(name):
    assert len(sentences.rows(TASKS[name])) == len(sentences.SENTENCES[name])
