"""Attention probing: kinds of tokens, shares that sum to one, correlations, and the command's work end to end."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.common.checkpoints import load_tokenizer
from benchmark.grid.cells import plan
from benchmark.records.attention import attention_path, read_attention
from benchmark.records.store import Store
from benchmark.reports.attention import probe as probing
from benchmark.reports.attention.heads import TARGETS, Heads, association, heads_of, mask
from benchmark.reports.attention.probe import probe
from benchmark.reports.attention.shares import attention_shares, targets, token_kinds
from benchmark.runs.runner import run_cells
from vtrans.data.examples import Examples
from vtrans.errors import SuiteError


class Words:
    """A tokenizer whose ids are indices into a list."""

    pieces = ("[CLS]", "[SEP]", "the", "film", "un", "##believ", "##able", ".", "th", "##e")
    all_special_ids = (0, 1)

    def convert_ids_to_tokens(self, ids):
        return [self.pieces[i] for i in ids]


def test_pieces_are_of_the_kind_of_their_word():
    # [CLS] the film unbelievable th##e . [SEP]
    assert token_kinds([0, 2, 3, 4, 5, 6, 8, 9, 7, 1], Words()) == [0, 4, 3, 3, 3, 3, 4, 4, 4, 0]


def test_pieces_of_byte_level_bpe_make_words():
    tokenizer = Words()
    tokenizer.pieces = ("<s>", "</s>", "The", "Ġwas", "Ġdin", "os", "aur", "Ġ,")
    assert token_kinds([0, 2, 3, 4, 5, 6, 7, 1], tokenizer) == [0, 4, 4, 3, 3, 3, 4, 0]


def test_punctuation_without_a_space_is_a_word_of_its_own():
    tokenizer = Words()
    tokenizer.pieces = ("<s>", "</s>", "The", "Ġfilm", ",", "Ġwonder", "ful", ".", "Ġco", "-", "star")
    kinds = token_kinds([0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1], tokenizer)
    assert kinds == [0, 4, 3, 4, 3, 3, 4, 4, 4, 3, 0]  # "co" is a stop word


@given(st.lists(st.sampled_from([0, 3, 4]), min_size=1, max_size=12))
def test_every_token_is_one_target_of_every_query(kinds):
    found = targets(torch.tensor(kinds))
    for query in range(len(kinds)):
        for key in range(len(kinds)):
            target = TARGETS[found[query, key]]
            if kinds[key] == 0:
                assert target == "special"
            elif query == key:
                assert target == "self"
            elif abs(query - key) == 1:
                assert target == "neighbour"
            else:
                assert target == {3: "content", 4: "function"}[kinds[key]]


def test_shares_of_uniform_attention_are_those_of_the_tokens(model):
    for name, parameter in model.named_parameters():
        if ".query." in name:
            torch.nn.init.zeros_(parameter)
    ids = [0, 3, 3, 2, 1]
    examples = Examples([ids, ids[:4]], [[0] * 5, [0] * 4], torch.zeros(2, dtype=torch.long), 0)
    shares = attention_shares(model, examples, Words())
    assert shares.shape == (3, 4, len(TARGETS))
    np.testing.assert_allclose(shares.sum(-1), 1, atol=1e-6)
    counts = [
        np.bincount(targets(torch.tensor(k)).flatten(), minlength=5) / len(k) for k in ([0, 3, 3, 4, 0], [0, 3, 3, 4])
    ]
    np.testing.assert_allclose(shares[1, 2], (counts[0] + counts[1]) / 9, atol=1e-6)


def made(shares, kept, layers=2):
    """Heads whose attention to special tokens is given."""
    first = np.asarray(shares, dtype=float).reshape(layers, -1)
    return Heads(np.stack([first, *[1 - first] * 4], -1), np.asarray(kept, dtype=bool).reshape(layers, -1))


def test_association_by_hand():
    run = made([0.1, 0.2, 0.3, 0.8, 0.9, 1.0], [0, 0, 0, 1, 1, 1], layers=1)
    found = association([run], "special")
    assert found.value == pytest.approx(0.8783, abs=1e-3) and found.low <= found.value <= found.high
    assert association([run], "content").value == pytest.approx(-found.value)
    assert found.examples == 6 and found.seeds == 1


def test_what_layers_do_as_a_whole_is_left_out_within_layers():
    run = made([1, 2, 3, 4, 5, 6], [0, 0, 0, 1, 1, 1])  # the first layer goes as a whole
    assert association([run], "special", inside=False).value > 0.8
    assert association([run], "special") is None


def test_runs_without_a_correlation_are_left_out():
    some, shares = made([0.1, 0.5, 0.2, 0.4], [0, 1, 0, 1]), [0.1, 0.5, 0.2, 0.4]
    whole = made(shares, np.ones(4))
    assert association([whole], "special") is None
    assert association([made(np.ones(4), [0, 1, 0, 1])], "special") is None
    assert association([some, whole], "special") == association([some], "special")


def test_p_is_right_where_layers_are_pruned_as_a_whole():
    """Attention that has nothing to do with being kept, but differs from layer to layer, as does what is kept."""
    generator = np.random.default_rng(0)

    def rejects(inside: bool) -> float:
        found = []
        for _ in range(60):
            shares = generator.normal(size=(6, 1)) + generator.normal(0, 1, (6, 12))
            chance = generator.permutation(np.linspace(0.05, 0.95, 6))[:, None]
            seeds = [generator.random((6, 12)) < chance for _ in range(3)]
            runs = [Heads(np.repeat(shares[..., None], 5, -1), kept) for kept in seeds]
            found.append(association(runs, "special", inside).p < 0.05)
        return float(np.mean(found))

    assert rejects(inside=True) <= 0.13
    assert rejects(inside=False) > 0.2  # so the page gives no interval there


def test_heads_are_drawn_for_all_seeds_together():
    """Two seeds with the same heads know no more of heads than one."""
    generator = np.random.default_rng(0)
    run = made(generator.random(60), generator.random(60) > 0.5, layers=1)
    one, two = association([run], "special"), association([run, run], "special")
    assert one.high - one.low == pytest.approx(two.high - two.low, rel=0.05)


def test_kept_heads_are_those_of_their_layer():
    assert mask([[0, 2], []], 3).tolist() == [[True, False, True], [False] * 3]


def test_a_run_is_probed_and_its_files_lie_beside_the_records(tiny_preset, data_dir, tmp_path, monkeypatch, cli_call):
    cells = plan("glue", "tiny", ["dense", "VTrans-s50"], ["sst2"], [0, 1])
    store = Store(tmp_path, "glue", "tiny")
    run_cells(cells, store, data_dir)
    runs = [store.path(cell) for cell in cells if cell.row == "VTrans-s50"]
    monkeypatch.chdir(runs[0].parent)
    paths = probe([Path(run.name) for run in runs], data_dir)
    text = paths[0].read_text()
    assert paths[0] == tmp_path / "tiny" / "glue" / "probe" / "sst2--VTrans-s50.md"
    assert "seeds 0, 1; 16 heads" in text and all(target in text for target in TARGETS)
    monkeypatch.setattr(probing, "measure", None)  # shares that are there are read
    assert probe(runs, data_dir) == paths and paths[0].read_text() == text
    assert paths[1].read_text().startswith("<svg")
    kept = store.read(cells[1]).outcome.report["pruning"]
    assert [len(layer) for layer in kept["heads_kept"]] == kept["kept"]["heads"]
    shares = attention_path(runs[0])
    with pytest.raises(SuiteError, match="of another run"):
        read_attention(runs[0], "another")
    shares.write_text(shares.read_text()[:40])
    with pytest.raises(SuiteError, match="remove it, and probe"):
        heads_of(runs[0], store.read(cells[1]))
    code, out, err = cli_call("validate", "--results", str(tmp_path))
    assert code == 2 and f"{shares} holds no shares of attention" in out and "1 of 6 records" in err
    with pytest.raises(SuiteError, match="does not say which heads were kept"):
        probe([store.path(cells[0])], data_dir)
    with pytest.raises(SuiteError, match="of one seed"):
        probe([runs[0], runs[0]], data_dir)
    with pytest.raises(SuiteError, match="is no file"):
        probe([tmp_path / "none.json"], data_dir)


def test_kinds_of_a_real_tokenizer(model_dir):
    tokenizer = load_tokenizer(model_dir)
    ids = tokenizer("the film is good")["input_ids"]
    assert token_kinds(ids, tokenizer) == [0, 4, 3, 4, 3, 0]
