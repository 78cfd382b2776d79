"""Fixtures: tiny models and folders, made here."""

import gc
import json
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch
from hypothesis import HealthCheck, settings
from tiny import tiny_bert, tiny_examples
from transformers import BertConfig, BertForSequenceClassification
from transformers.utils import logging

from vtrans.data.examples import Examples

logging.disable_progress_bar()  # the bars of save_pretrained would stand among the errors that tests read
settings.register_profile(
    "suite", deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("suite")

gc.collect()
gc.freeze()  # what is imported by now is no garbage: a collection, which each stage ends with, need not look at it

WORDS = ["good", "great", "fine", "nice", "bad", "poor", "dull", "weak", "film", "plot", "a", "the", "is"]
LONG = ("test_ranks.py", "test_methods_matrix.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first, so that none of them keeps one core alone at the end."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture
def model() -> BertForSequenceClassification:
    return tiny_bert()


@pytest.fixture
def examples() -> Examples:
    return tiny_examples()


@pytest.fixture
def data_dir(tmp_path):
    """A folder with SST-2-like data."""
    for split, rows in (("train", 60), ("validation", 20)):
        lines = []
        for i in range(rows):
            words = [WORDS[(i % 2) * 4 + i // 2 % 4], WORDS[8 + i % 5], WORDS[(i * 7) % 13 if i % 3 else 8], str(i)]
            lines.append(json.dumps({"sentence": " ".join(words), "label": 1 - i % 2}))
        path = tmp_path / "data" / "sst2" / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    return tmp_path / "data"


@pytest.fixture
def model_dir(tmp_path):
    """A folder with a tiny pretrained BERT and its tokenizer."""
    from transformers import BertModel, BertTokenizerFast

    folder = tmp_path / "tiny-model"
    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=300,
    )
    BertModel(config).save_pretrained(folder)
    return folder
