"""What a run in shards stands on, and what it refuses before it begins."""

from dataclasses import replace
from pathlib import Path

import pytest
from tiny import tiny_llama

from benchmark.commands.shard import ShardRequest, request_key
from benchmark.commands.user_model import check_out
from vtrans.errors import SuiteError
from vtrans.settings import Sharding


def test_another_request_has_other_checkpoints(tmp_path):
    tiny_llama().save_pretrained(tmp_path / "model")
    request = ShardRequest(str(tmp_path / "model"), "imdb", 0.5, Path("out"), Sharding(stage=2))
    changes = [{"sparsity": 0.3}, {"seed": 7}, {"task": "wikitext2-raw"}, {"sharding": Sharding(stage=3)}]
    keys = [request_key(r, tmp_path / "model", "digest") for r in (request, *(replace(request, **c) for c in changes))]
    keys.append(request_key(request, tmp_path / "model", "other text"))
    assert len(set(keys)) == len(keys)
    tiny_llama(seed=1).save_pretrained(tmp_path / "model")
    assert request_key(request, tmp_path / "model", "digest") not in keys


def test_a_folder_with_a_model_in_several_files_is_not_written_over(tmp_path):
    tiny_llama().save_pretrained(tmp_path / "out", max_shard_size="20KB")
    with pytest.raises(SuiteError, match="holds a model already"):
        check_out(tmp_path / "out", tmp_path / "model")
