"""A user's own rows become a task: classes in the model's order, and one clear line for what is wrong with them."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.grid.suites import suite_of
from benchmark.tasks.kind import kind_of
from benchmark.tasks.language_modeling.text import joined
from benchmark.tasks.own import OwnData, own_task
from vtrans.errors import SuiteError

ROWS = [(f"a {word} film {i}", word) for i in range(20) for word in ("good", "bad", "dull")]


def write_csv(path, rows, header=("text", "y"), **style):
    with path.open("w", newline="", encoding=style.pop("encoding", "utf-8")) as stream:
        csv.writer(stream, **style).writerows([header, *rows])
    return path


def model(folder, names=None, kind="bert", **more):
    folder.mkdir(exist_ok=True)
    classes = {"architectures": ["BertForSequenceClassification"], "id2label": dict(enumerate(names))} if names else {}
    (folder / "config.json").write_text(json.dumps({"model_type": kind} | classes | more))
    return folder


def load(own, source, whole=False):
    task = own_task(own, source, whole)
    return task, kind_of(task).load(task)


@given(st.permutations(["good", "bad", "dull"]))
def test_classes_are_in_the_order_of_the_model(tmp_path, names):
    path = write_csv(tmp_path / "rows.csv", ROWS)
    task, data = load(OwnData(path, label="y"), model(tmp_path / "m", names))
    assert task.labels == tuple(names) and task.metrics == ("accuracy", "macro_f1")
    assert all(names[label] in texts[0] for texts, label in [*data.train, *data.evaluation])
    assert len(data.train) + len(data.evaluation) == 60 and len(data.evaluation) > 0


def test_every_format_says_the_same(tmp_path):
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

    ids = {"bad": 0, "dull": 1, "good": 2}
    rows = Dataset.from_dict({"text": [t for t, _ in ROWS], "y": [ids[y] for _, y in ROWS]})
    rows = rows.cast(Features({"text": Value("string"), "y": ClassLabel(names=list(ids))}))
    DatasetDict({"train": rows}).save_to_disk(tmp_path / "saved")
    rows.to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"text": t, "y": y}) for t, y in ROWS))
    write_csv(tmp_path / "rows.csv", ROWS)
    write_csv(tmp_path / "rows.tsv", ROWS, delimiter="\t", quoting=csv.QUOTE_NONE)
    source = model(tmp_path / "m", list(ids))
    found = [load(OwnData(tmp_path / name, label="y"), source)[1] for name in ("rows.csv", "saved")]
    for name in ("rows.tsv", "rows.jsonl", "rows.parquet"):
        found.append(load(OwnData(tmp_path / name, label="y"), source)[1])
    assert len({data.digest for data in found}) == 1


def test_rows_name_the_classes_where_the_model_has_none(tmp_path):
    ratings = [(f"text {i}", i % 5 + 1) for i in range(60)]
    task, data = load(OwnData(write_csv(tmp_path / "rows.csv", ratings), label="y"), model(tmp_path / "m"))
    assert task.labels == ("1", "2", "3", "4", "5") and {label for _, label in data.train} == {0, 1, 2, 3, 4}
    task, _ = load(OwnData(tmp_path / "rows.csv", label="y", metric="spearman"), model(tmp_path / "m"))
    assert task.regression and task.metrics[0] == "spearman"
    scores = write_csv(tmp_path / "scores.csv", [(t, y / 7) for t, y in ratings])
    assert load(OwnData(scores, label="y"), model(tmp_path / "m"))[0].regression


def test_pairs_questions_and_running_text(tmp_path):
    pairs = write_csv(tmp_path / "pairs.csv", [(f"a {i}", f"b {i}", i % 2) for i in range(40)], ("one", "two", "y"))
    test = write_csv(tmp_path / "test.csv", [("c", "d", 1)], ("one", "two", "y"))
    task, data = load(OwnData(pairs, test, ("one", "two"), "y"), model(tmp_path / "m"))
    assert data.evaluation == [(("c", "d"), 1)] and len(data.train) == 40
    assert task.metrics == ("accuracy", "f1", "macro_f1")
    asked = [{"q": "who?", "c": f"it was Ann {i}", "a": {"text": ["Ann"], "answer_start": [7]}} for i in range(40)]
    (tmp_path / "qa.jsonl").write_text("\n".join(map(json.dumps, asked)))
    task, data = load(OwnData(tmp_path / "qa.jsonl", texts=("q", "c"), label="a"), model(tmp_path / "m"))
    assert task.kind == "question_answering" and data.train[0].answers == (("Ann", 7),) and not task.abstains
    (tmp_path / "text.txt").write_text("a line\n\n" * 20)
    task, data = load(OwnData(tmp_path / "text.txt"), model(tmp_path / "gpt", kind="gpt2"))
    assert task.kind == "causal_lm" and len(data.train) == 36 and len(data.evaluation) == 4


def test_evaluation_reads_all_rows(tmp_path):
    path = write_csv(tmp_path / "rows.csv", ROWS)
    assert len(load(OwnData(path, label="y"), model(tmp_path / "m", ["bad", "dull", "good"]), True)[1].evaluation) == 60


@pytest.mark.parametrize(
    ("rows", "change", "message"),
    [
        (ROWS, {"label": "label"}, "has no column 'label'; name one with --label; its columns: text, y"),
        (ROWS, {"texts": ("body",)}, "has no column 'body'; name one with --text"),
        (ROWS, {"texts": ("y",)}, "one column is named twice with --text and --label"),
        (ROWS, {"texts": ("text", "text")}, "one column is named twice"),
        (ROWS, {"label": ""}, "named as the label; name it with --label"),
        ([(t, "new") for t, _ in ROWS[:9]] + ROWS, {}, "classes new; the model's are bad, dull, good"),
        ([("", "bad"), *ROWS, (" ", "bad")], {}, r"2 rows have an empty text, .*rows.csv:2 first"),
        ([(f"a {i}", "good") for i in range(30)], {}, "have the label good; give rows of every class"),
        ([*ROWS, ("a", ""), ("b", "nan")], {}, r"2 rows have no label, .*rows.csv:62 first"),
        (ROWS, {"metric": "f1"}, "metric 'f1' is not for these rows; choose one of: accuracy, macro_f1"),
        (ROWS, {"metric": "pearson"}, "the metric pearson is not for a model with classes"),
        (ROWS, {"texts": ()}, "0 text columns are named"),
        (ROWS[:2], {}, "too few rows to hold a tenth out; name a file with --eval"),
        ([], {}, "has no rows"),
        (
            [(*row, "b", "c") for row in ROWS],
            {"texts": ("text", "b", "c")},
            "3 text columns are named; name one or two",
        ),
    ],
)
def test_bad_rows_are_named(tmp_path, rows, change, message):
    header = ("text", "y", "b", "c")[: len(rows[0]) if rows else 2]
    own = OwnData(write_csv(tmp_path / "rows.csv", rows, header), **({"label": "y"} | change))
    with pytest.raises(SuiteError, match=message):
        load(own, model(tmp_path / "m", ["bad", "dull", "good"]))


def test_classes_without_names_and_foreign_rows_are_named(tmp_path):
    path = write_csv(tmp_path / "rows.csv", ROWS)
    with pytest.raises(SuiteError, match="LABEL_0, LABEL_1, LABEL_2; write class ids, or name"):
        load(OwnData(path, label="y"), model(tmp_path / "m", ["LABEL_0", "LABEL_1", "LABEL_2"]))
    test = write_csv(tmp_path / "test.csv", [("a", "new"), ("b", "bad")])
    with pytest.raises(SuiteError, match="no training row has the label 'new'"):
        load(OwnData(path, test, label="y"), model(tmp_path / "m"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.csv", b"text;y\na, b;1\n", "is separated by semicolons; write it with commas"),
        ("rows.csv", b"text\ty\na, b\t1\n", "is separated by tabs"),
        ("rows.csv", "text,y\nbäd,1\n".encode("latin-1"), "cannot be read .UnicodeDecodeError.; write it as UTF-8"),
        ("rows.parquet", b"no table", "cannot be read .ArrowInvalid.; write it again as Parquet"),
        ("rows.xlsx", b"x", "is of no known format"),
        ("gone.csv", None, "there is no .*gone.csv"),
        ("empty/x", b"x", "empty cannot be read .FileNotFoundError.; save it with save_to_disk"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SuiteError, match=message):
        load(OwnData(path.parent if name == "empty/x" else path, label="y"), model(tmp_path / "m"))


def test_lists_of_labels_and_labels_for_a_decoder_are_refused(tmp_path):
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"text": f"a {i}", "y": [0, 1]}) for i in range(40)))
    own = OwnData(tmp_path / "rows.jsonl", label="y")
    with pytest.raises(SuiteError, match="has a list of labels; write one class or score a row"):
        load(own, model(tmp_path / "m"))
    with pytest.raises(SuiteError, match="the model is a decoder, .*; leave out --label"):
        load(own, model(tmp_path / "gpt", kind="gpt2"))


def test_whole_numbers_are_names_where_the_names_are_numbers(tmp_path):
    path = write_csv(tmp_path / "rows.csv", [(f"text {i}", i % 3 + 1) for i in range(60)])
    _, data = load(OwnData(path, label="y"), model(tmp_path / "m", ["1", "2", "3"]))
    assert {label for _, label in data.train} == {0, 1, 2}
    ids = write_csv(tmp_path / "ids.csv", [(f"text {i}", i % 3) for i in range(60)])
    with pytest.raises(SuiteError, match="the rows have the classes 0; the model's are 1, 2, 3; write these names"):
        load(OwnData(ids, label="y"), model(tmp_path / "m", ["1", "2", "3"]))
    _, data = load(OwnData(ids, label="y"), model(tmp_path / "m", ["LABEL_0", "LABEL_1", "LABEL_2"]))
    assert {label for _, label in data.train} == {0, 1, 2}
    codes = write_csv(
        tmp_path / "codes.csv", [(f"text {i}", ("007", "07")[i % 2]) for i in range(60)], ("text", "label")
    )
    assert load(OwnData(codes, label="label"), model(tmp_path / "n"))[0].labels == ("007", "07")


def test_a_saved_folder_is_evaluated_on_its_own_split(tmp_path):
    from datasets import Dataset, DatasetDict

    parts = {"train": ROWS, "test": [("unseen film", "bad"), ("unseen plot", "good")]}
    columns = {name: {"text": [t for t, _ in rows], "y": [y for _, y in rows]} for name, rows in parts.items()}
    DatasetDict({name: Dataset.from_dict(each) for name, each in columns.items()}).save_to_disk(tmp_path / "imdb")
    task, data = load(OwnData(tmp_path / "imdb", label="y"), model(tmp_path / "m", ["bad", "dull", "good"]))
    assert len(data.train) == 60 and data.evaluation == [(("unseen film",), 0), (("unseen plot",), 2)]
    assert suite_of(task) == "glue"  # whatever task of the suite bears the folder's name
    whole = load(OwnData(tmp_path / "imdb", label="y"), model(tmp_path / "m", ["bad", "dull", "good"]), True)[1]
    assert whole.evaluation == data.evaluation
    DatasetDict({"test": Dataset.from_dict(columns["test"])}).save_to_disk(tmp_path / "only")
    with pytest.raises(SuiteError, match="has the splits test; save one as 'train'"):  # not trained on what is scored
        load(OwnData(tmp_path / "only", label="y"), model(tmp_path / "m", ["bad", "dull", "good"]))


def test_rows_without_the_columns_of_the_first_are_named(tmp_path):
    rows = [{"text": f"a {i}", "y": i % 2} for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, [*rows, {"text": "b"}])))
    with pytest.raises(SuiteError, match="1 rows have no label, .*rows.jsonl:41 first"):
        load(OwnData(tmp_path / "rows.jsonl", label="y"), model(tmp_path / "m"))


def test_quotes_are_characters_where_tabs_separate_and_lines_are_joined_as_they_were(tmp_path):
    (tmp_path / "rows.tsv").write_text('text\ty\n"one\tbad\n' + "".join(f"text {i} end\tgood\n" for i in range(30)))
    assert len(load(OwnData(tmp_path / "rows.tsv", label="y"), model(tmp_path / "m"), True)[1].train) == 31
    text = "first\n\nsecond\n" * 10
    (tmp_path / "text.txt").write_text(text)
    task, data = load(OwnData(tmp_path / "text.txt"), model(tmp_path / "gpt", kind="gpt2"), True)
    assert joined(task, data.train) + "\n" == text


def test_answers_of_another_shape_are_named(tmp_path):
    rows = [{"q": "who?", "c": f"it was Ann {i}", "a": {"answer": "Ann"}} for i in range(40)]
    (tmp_path / "qa.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(SuiteError, match="qa.jsonl:1 has no answers in the form of SQuAD"):
        load(OwnData(tmp_path / "qa.jsonl", texts=("q", "c"), label="a"), model(tmp_path / "m"))
