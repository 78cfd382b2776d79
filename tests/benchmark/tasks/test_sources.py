"""The one reader of rows: formats, encodings, and characters that end no line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.tasks.kind import kind_of
from benchmark.tasks.registry import TASKS, Task
from benchmark.tasks.sources import Files, Hub, Place, Reviews
from benchmark.tasks.sources.files import read_rows
from vtrans.errors import SuiteError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.lists(st.fixed_dictionaries({"sentence": TEXT, "label": st.integers(0, 1)}), min_size=1, max_size=8))
def test_json_lines_are_read_as_they_were_written(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "train.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8", newline="\n")
    assert [row for _, row in read_rows(path)] == rows


def test_a_line_separator_inside_a_row_ends_no_row(data_dir):
    path = data_dir / "sst2" / "train.jsonl"
    row = json.dumps({"sentence": "one\u2028two\x85three", "label": 1}, ensure_ascii=False)
    path.write_text(path.read_text() + row + "\n")
    data = kind_of(TASKS["sst2"]).load(TASKS["sst2"], data_dir)
    assert data.train[-1] == (("one\u2028two\x85three",), 1) and len(data.train) == 61


def test_csv_labels_are_numbers_texts_stay_as_they_are_and_lines_are_whole(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('text,label\n"a, b\nc",1\n007,0.5\n')
    assert [row for _, row in read_rows(path)] == [{"text": "a, b\nc", "label": 1}, {"text": "007", "label": 0.5}]
    path.write_text("text,label\na,b,c\n")
    with pytest.raises(SuiteError, match="rows.csv:2 has another number of columns than the header"):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"[1]\n", "a.jsonl:1 is not a JSON object"),
        ("a.csv", b"text,label,text\na,1,b\n", "has two columns called 'text'"),
        ("a.jsonl", b'{"text": "\\ud800 x", "label": 0}\n', "a.jsonl:1 has half of a character"),
        ("a.jsonl", b"\xff\n", "cannot be read"),
        ("a.parquet", b"", "of no known format"),
    ],
)
def test_what_is_no_row_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SuiteError, match=message):
        list(read_rows(tmp_path / name))


def test_a_packaged_task_has_its_own_source_whatever_its_name():
    sources = {name: task.source for name, task in TASKS.items()}
    assert isinstance(sources["rotten_tomatoes"], Reviews) and sources["rotten_tomatoes"].corpus == "rotten_tomatoes"
    assert sources["imdb"].corpus == sources["imdb-masked"].corpus == "imdb"
    assert isinstance(sources["sst2"], Hub) and sources["sst2"].config == "sst2"


def test_a_task_without_a_known_metric_is_refused_when_it_is_declared():
    with pytest.raises(SuiteError, match="name one in benchmark/tasks/metrics.py"):
        Task("mine", Files(), ("acuracy",))


def test_files_named_one_by_one_stand_for_the_task_s_two_splits_and_no_other(tmp_path):
    for name, text in (("a", "one"), ("b", "two")):
        (tmp_path / f"{name}.txt").write_text(text)
    files = Files(train=tmp_path / "a.txt", evaluation=tmp_path / "b.txt")
    place = Place("mine", "mine", ("txt",), "text", train="training", evaluation="test")
    assert [row["text"] for _, row in files.rows(place, "training")] == ["one"]
    assert [row["text"] for _, row in files.rows(place, "test")] == ["two"]
    assert not files.has(place, "other")
    with pytest.raises(SuiteError, match="one file of two is named"):
        Files(train=tmp_path / "a.txt")


def test_labels_that_are_not_finite_and_a_changed_second_split_are_seen(data_dir, tmp_path):
    path = data_dir / "sst2" / "train.jsonl"
    path.write_text(path.read_text() + '{"sentence": "x", "label": NaN}\n')
    with pytest.raises(SuiteError, match="has the label nan"):
        kind_of(TASKS["sst2"]).load(TASKS["sst2"], data_dir)
    folder, digests = tmp_path / "mnli", set()
    folder.mkdir()
    row = '{"premise": "p", "hypothesis": "h%d", "label": %d}\n'
    for split in ("train", "validation_matched"):
        (folder / f"{split}.jsonl").write_text("".join(row % (i, i % 3) for i in range(6)))
    for number in (8, 9):
        (folder / "validation_mismatched.jsonl").write_text(row % (number, 2))
        digests.add(kind_of(TASKS["mnli"]).load(TASKS["mnli"], tmp_path).digest)
    assert len(digests) == 2
