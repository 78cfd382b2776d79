"""Generation with a cache writes what the model without one would, and both speeds are told."""

import pytest
import torch
from tiny import DECODERS, random_decision

from benchmark.measure.generation import generation, seconds
from vtrans.data.windows import Windows
from vtrans.pruning.surgery import materialise


@pytest.mark.parametrize("family", DECODERS)
def test_both_speeds_of_both_models(family):
    dense = DECODERS[family]().eval()
    small = materialise(dense, random_decision(dense, 2, 1.0)).eval()
    windows = Windows.of(list(range(5, 55)) * 4, 12, pad=0)
    found = generation(dense, small, windows, prompt=8, new=4)
    assert (found["prompt"], found["new"], found["prompts"]) == (8, 4, 4)
    for part in ("prefill", "decode"):
        assert all(value > 0 for values in found[part].values() for value in values)


def test_each_token_is_written_after_all_before_it(monkeypatch):
    model, written = DECODERS["llama"]().eval(), []
    ids = torch.arange(5, 13)[None]
    forward = model.forward

    def watched(**inputs):
        written.append(inputs["input_ids"])
        return forward(**inputs)

    monkeypatch.setattr(model, "forward", watched)
    seconds(model, ids, 5)
    expected = model.generate(ids, max_new_tokens=5, do_sample=False, pad_token_id=0, eos_token_id=None)
    assert torch.equal(torch.cat(written[:6], 1), expected)
