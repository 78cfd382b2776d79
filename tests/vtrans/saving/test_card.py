"""Model cards: fields that the hub reads, the run's numbers, how to load, and whose licence."""

import pytest
from huggingface_hub import ModelCard
from tiny import FAMILIES, random_decision

from vtrans.pruning.surgery import materialise
from vtrans.saving.card import Facts, card
from vtrans.saving.pruned import save_pruned
from vtrans.tokens import Retention, attach


@pytest.fixture
def small():
    model = FAMILIES["bert"]()
    return materialise(model, random_decision(model, 3, 1.0))


def test_a_card_holds_what_the_hub_reads(small, tmp_path):
    source = tmp_path / "dense"
    source.mkdir()
    (source / "README.md").write_text("---\nlicense: apache-2.0\nbase_model: some/model\n---\n# Dense\n")
    facts = Facts("VTrans-s60", "sst2", {"accuracy": 88.64}, 872, ["A third of it is left."], source)
    folder = save_pruned(small, tmp_path / "small", facts)
    data = ModelCard.load(folder / "README.md").data
    assert (data.license, data.base_model, data.library_name) == ("apache-2.0", "some/model", "transformers")
    assert [(each.metric_type, each.metric_value, each.dataset_name) for each in data.eval_results] == [
        ("accuracy", 88.64, "sst2")
    ]
    text = (folder / "README.md").read_text()
    assert "sst2, 872 validation rows: accuracy 88.6" in text and "A third of it is left." in text
    assert "import vtrans\nfrom transformers import AutoModelForSequenceClassification" in text


def test_heads_are_those_of_queries_where_they_share_keys_and_values():
    model = FAMILIES["llama"]()
    assert model.config.num_key_value_heads < model.config.num_attention_heads
    assert f": {model.config.num_attention_heads * model.config.num_hidden_layers} heads" in card(model, Facts())


def test_a_card_claims_no_licence_that_it_does_not_know(small):
    text = card(small, Facts())
    assert ModelCard(text).data.license is None and "names none in its folder" in text


def test_a_card_says_what_needs_this_package_and_that_tokens_are_dropped(small):
    dense = FAMILIES["llama"]()
    assert "import vtrans" not in card(dense, Facts()) and "AutoModelForCausalLM" in card(dense, Facts())
    attach(small, Retention([6, 4, 2]))
    assert "drops tokens between its layers (`retention`)" in card(small, Facts())
