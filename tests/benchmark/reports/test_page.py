"""The page: what it says follows from records, it needs no network, and a browser shows it without a complaint."""

import json
import re
import shutil
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import make_record

from benchmark.grid.axes import AXES
from benchmark.grid.cells import plan
from benchmark.records.store import Store
from benchmark.reports.figures.labels import placed
from benchmark.reports.page import points, summary
from benchmark.reports.page.gather import _joined, gather
from benchmark.reports.page.write import answers, html, sweeps, write
from benchmark.runs.curves import Curves, live_file
from vtrans.errors import SuiteError

SCORES = {"dense": 90, "random-s80": 82, "VTrans-s80": 88, "VTrans-s95": 84, "CoFi-s80": 87.9}


def change(record, seed, tokens=None):
    """A made record with what pruning kept, and with tokens where some are dropped."""
    kept = {"hidden": 384, "heads": [2, 1], "ffn": [30 + seed, 10]}
    curves = {
        "0-prune": {"step": [1, 2], "expected": [0.0, 0.8], "real": [0.1, 0.7], "target": [0.4, 0.8], "kl": [1, 2]}
    }
    pruning = {"kept": kept, "heads_kept": [[0, 2], [1]]}
    report = {"pruning": pruning, "curves": curves} if "-s" in record.row else {}
    if tokens:
        report["dropped"] = [{"tokens": ["[CLS]", "the", "end", "##ing", "<b>"], "layers": [0, 1, 3, 0, 2]}]
    outcome = record.outcome.model_copy(update={"report": report, "tokens": tokens})
    return record.model_copy(update={"outcome": outcome})


@pytest.fixture
def root(tmp_path):
    store = Store(tmp_path, "glue", "medium")
    for row, score in SCORES.items():
        for cell in plan("glue", "medium", [row], ["sst2"]):
            store.write(cell, change(make_record(cell, score + (0.2 + 0.1 * (row[0] == "r")) * cell.seed), cell.seed))
    cell = plan("glue", "medium", ["LTP"], ["mrpc"], [0])[0]
    store.write(cell, change(make_record(cell, 77.0), 0, [1.0, 0.5, 0.25]))
    return tmp_path


def test_what_is_gathered_follows_from_the_records(root):
    contents = gather(root, "medium")
    assert list(contents.tasks) == ["glue/sst2", "glue/mrpc"] and not contents.problems
    rows = {row["row"]: row for row in contents.rows}
    vtrans = rows["VTrans-s80"]
    assert vtrans["score"]["value"] == pytest.approx(88.2)
    assert vtrans["below_text"].startswith("-2.0") and "88.2 [" in vtrans["score_text"] and "²" in vtrans["score_text"]
    assert {seed: one["score"]["value"] for seed, one in vtrans["seeds"].items()} == {"0": 88.0, "1": 88.2, "2": 88.4}
    assert [one["kept"]["ffn"] for one in vtrans["seeds"].values()] == [[30, 10], [31, 10], [32, 10]]
    assert not vtrans["lacking"] and rows["LTP"]["lacking"]
    assert vtrans["kept"] == {"hidden": 384, "ffn": [31, 10], "heads": [[1, 0, 1], [0, 1, 0]]}
    assert vtrans["seeds"]["1"]["curves"] == {
        "step": [1, 2],
        "expected": [0.0, 0.8],
        "real": [0.1, 0.7],
        "target": [0.4, 0.8],
    }
    assert (vtrans["encoder"], vtrans["all"], vtrans["macs"], vtrans["time"]) == (40, 50, 50, 40)
    assert rows["LTP"]["tokens"] == [1.0, 0.5, 0.25] and rows["LTP"]["kept"] is None
    assert rows["LTP"]["score_text"] == "77.0"  # one seed without predictions has no interval
    assert [word["layer"] for word in rows["LTP"]["words"][0]] == [0, 1, 3, 0, 2] and vtrans["words"] is None
    assert rows["LTP"]["words"][0][3] == {"text": "ing", "joined": True, "layer": 0}
    assert all((root / "medium" / each["file"]).exists() for row in contents.rows for each in row["records"])


def test_the_answer_is_the_best_row_of_each_size(root):
    found = answers(gather(root, "medium"))
    assert [(line["task"], line["size"], line["row"], line["rows"]) for line in found] == [
        ("glue/sst2", "80", "VTrans-s80", "3"),
        ("glue/sst2", "95", "VTrans-s95", "1"),
    ]
    assert found[0]["score"].startswith("88.2 [") and "random-s80" not in found[0]["ties"]


def test_a_row_that_lacks_seeds_is_not_the_best_and_keeps_its_dagger(root):
    store = Store(root, "glue", "medium")
    for cell in plan("glue", "medium", ["Fisher-s80"], ["sst2"], [0, 1]):
        store.write(cell, change(make_record(cell, 89.0 - 2 * cell.seed), cell.seed))
    line = answers(gather(root, "medium"))[0]
    assert line["row"] == "VTrans-s80" and "Fisher-s80 †" in line["ties"]
    (line,) = [line for line in summary.markdown(gather(root, "medium")).splitlines() if line.startswith("| Fisher ")]
    assert "† |" in " ".join(line.split())


def test_the_summary_has_a_column_for_each_task_with_rows_of_its_size(root):
    store = Store(root, "glue", "medium")
    for cell in plan("glue", "medium", ["dense", "random-s80"], ["mrpc"]) + plan("glue", "medium", ["dense"], ["rte"]):
        store.write(cell, make_record(cell, 70.0))
    lines = [line for line in summary.markdown(gather(root, "medium")).splitlines() if line.startswith("|")]
    head, random, vtrans = ([c.strip() for c in lines[i].split("|")[1:-1]] for i in (0, 3, 5))
    assert [name.split(":")[0] for name in head[1:-1]] == ["sst2", "mrpc"] and head[-1].endswith("32, sst2")
    assert random[0] == "random" and random[2] == "70.0" and vtrans[0] == "VTrans" and vtrans[2] == "–"


def test_a_row_with_settings_of_its_own_is_not_in_the_summary(root):
    store = Store(root, "glue", "medium")
    before = summary.markdown(gather(root, "medium"))
    for cell in plan("glue", "medium", ["VTrans-s80[noise=token]"], ["sst2"]):
        store.write(cell, make_record(cell, 95.0))
    assert summary.markdown(gather(root, "medium")) == before


def test_a_suite_of_failed_records_is_no_damage(root):
    store = Store(root, "ablations", "medium")
    cell = plan("ablations", "medium", ["CoFi-s60+Infor-Coef-no-norm"], ["sst2"], [0])[0]
    store.write(cell, make_record(cell, status="failed"))
    contents = gather(root, "medium")
    assert contents.problems == [] and "ablations/sst2" not in contents.tasks


def test_a_damaged_record_is_named_on_the_page_and_the_others_are_shown(root):
    store = Store(root, "glue", "medium")
    cell = plan("glue", "medium", ["CoFi-s80"], ["sst2"], [0])[0]
    store.path(cell).write_text("{<b>")
    contents = gather(root, "medium")
    assert len(contents.problems) == 1 and cell.key in contents.problems[0]
    assert "CoFi-s80" in {row["row"] for row in contents.rows}
    assert f"{cell.key}.json is no JSON" in html(contents, root)


def test_text_from_a_record_ends_no_element_of_the_page(root):
    contents = gather(root, "medium")
    contents.tasks["glue/sst2"]["about"] = "</script><b><!--"
    text = html(contents, root)
    assert text.lower().count("</script>") == 3
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert data["tasks"]["glue/sst2"]["about"] == "</script><b><!--"


def test_what_runs_now_stands_on_the_page_which_then_loads_itself_again(root):
    contents = gather(root, "medium")
    assert "http-equiv" not in html(contents, root)
    Curves("sst2--CoFi-s60", path=live_file(root / "medium" / "glue" / "work"))("0-prune", 3, 9, {"real": 0.1})
    text = html(contents, root)
    assert 'http-equiv="refresh"' in text and "sst2--CoFi-s60: 0-prune, step 3 of 9" in text


def test_nothing_run_says_what_to_run_and_for_how_long(tmp_path, cli_call):
    with pytest.raises(SuiteError, match=r"run vtrans-bench run glue --preset medium, about [\d.]+ machine-hours"):
        write(tmp_path, "medium")
    code, _, err = cli_call("report", "--preset", "medium")
    assert code == 2 and err.count("\n") == 1


@given(st.lists(st.tuples(st.floats(1, 100), st.floats(50, 90)), min_size=2, max_size=12, unique=True))
def test_labels_near_each_other_keep_apart(pairs):
    found = placed([{"x": x, "y": y, "label": "name"} for x, y in pairs])
    step = 0.055 * (max(y for _, y in pairs) - min(y for _, y in pairs))
    for a, b in combinations(found, 2):
        assert abs(a["label_y"] - b["label_y"]) >= step - 1e-9 or max(a["x"], b["x"]) >= 1.9 * min(a["x"], b["x"])
    assert all(point["label_y"] >= point["y"] for point in found)


def test_labels_of_scores_that_only_rounding_tells_apart_are_placed():
    found = placed([{"x": 1.0, "y": y, "label": "name"} for y in (81.0, 81.0 + 1.5e-14, 81.0)])
    assert all(point["label_y"] == pytest.approx(81) for point in found)


def test_labels_keep_apart_and_points_of_one_size_stand_side_by_side(root):
    found = points.pareto_points(gather(root, "medium"), "glue", "sst2", "encoder")
    ends = [point for point in found if point["label"]]
    assert {point["label"] for point in ends} == {"dense", "random", "VTrans", "CoFi"}
    heights = sorted(point["label_y"] for point in ends)
    assert all(b - a > 0.3 for a, b in pairwise(heights))
    assert len({point["x"] for point in found if point["left"] == 40}) == 4
    assert all(abs(point["x"] / point["left"] - 1) <= 0.05 + 1e-9 for point in found)


def test_an_axis_is_shown_once_something_was_varied(root):
    assert sweeps(root, "medium") == []
    for suite, plain in (("glue", True), ("ablations", False)):
        for cell in plan(suite, "medium", AXES["noise"].rows(plain), ["sst2"]):
            Store(root, suite, "medium").write(cell, make_record(cell, 80.0 + cell.seed))
    found = sweeps(root, "medium")
    assert [(each["name"], each["task"], len(each["points"])) for each in found] == [("noise", "sst2", 6)]


def test_the_page_is_one_file_of_less_than_5_mb_that_loads_nothing(root):
    paths = write(root, "medium")
    assert [path.name for path in paths] == [
        "report.html",
        "summary.md",
        "pareto-sst2.svg",
        "pareto-sst2.pdf",
        "pareto-sst2.json",
    ]
    text = paths[0].read_text()
    assert len(text.encode()) < 5e6
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.findall(r"(?:src|href)=[\"'](?:https?:)?//", own)
    data = json.loads(re.search(r'id="data">(.*?)</script>', own, re.DOTALL)[1])
    assert len(data["rows"]) == 6 and set(data["figures"]) >= {"pareto", "heads", "lines"}
    first, _, *rows = [line for line in paths[1].read_text().splitlines() if line.startswith("|")]
    assert first.startswith("| 80 % of the encoder removed") and [r.split()[1] for r in rows][:2] == ["dense", "random"]
    assert paths[2].read_bytes().startswith(b"<svg") and paths[3].read_bytes().startswith(b"%PDF")


def chromium():
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def browser():
    sync = pytest.importorskip("playwright.sync_api", reason="needs the extra `browser`")
    if not chromium():
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        found = playwright.chromium.launch(executable_path=chromium(), args=flags)
        yield found
        found.close()


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_a_browser_shows_it_without_a_complaint(browser, root, width, scheme):
    path = write(root, "medium")[0]
    page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    complaints = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector("#chart-pareto svg")
    page.wait_for_selector("#chart-heads svg")
    page.wait_for_selector("#chart-curves svg")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    rows = page.locator("#table th button")
    assert rows.count() == len(SCORES)
    drawn = page.evaluate("paretoPoints(selected(), 'encoder')")
    for ours, theirs in zip(
        points.pareto_points(gather(root, "medium"), "glue", "sst2", "encoder"), drawn, strict=True
    ):
        assert ours.keys() == theirs.keys()
        assert all(theirs[name] == pytest.approx(value) for name, value in ours.items())
    page.select_option("select[name=size]", "95")
    assert rows.all_inner_texts() == ["dense", "VTrans-s95"]
    page.select_option("select[name=seed]", "1")
    assert page.locator("#table tr").nth(2).locator("td").first.inner_text() == "84.2"
    assert page.locator("#table tr").nth(2).locator("td").last.inner_text() == "1"  # records of that seed alone
    assert page.evaluate("escape('\"<')") == "&quot;&lt;"
    page.select_option("select[name=seed]", "")
    rows.nth(1).focus()
    page.keyboard.press("Enter")  # the keyboard opens where a number comes from
    cell = plan("glue", "medium", ["VTrans-s95"], ["sst2"], [0])[0]
    assert cell.key in page.locator("#detail-1").inner_text()
    page.select_option("select[name=task]", "glue/mrpc")
    page.wait_for_selector("#chart-tokens svg")
    assert rows.all_inner_texts() == ["LTP †"] and page.locator("#no-masks").is_visible()
    assert page.locator(".sentence").inner_text().split() == ["[CLS]", "the1", "end3ing", "<b>2"]
    page.reload()  # as a page does while a grid runs: its choices stay
    page.wait_for_selector("#chart-tokens svg")
    assert page.input_value("select[name=task]") == "glue/mrpc" and rows.all_inner_texts() == ["LTP †"]
    labelled, charts = page.locator('[role="img"][aria-label] > .chart').count(), page.locator(".chart").count()
    assert labelled == charts == 6 and not complaints


def test_pieces_of_both_tokenizers_are_joined_to_words():
    assert _joined(["[CLS]", "end", "##ing", "[SEP]"]) == [False, False, True, False]
    assert _joined(["<s>", "end", "ing", "Ġword", ".", "</s>"]) == [False, False, True, False, True, False]
