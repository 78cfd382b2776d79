"""What the README shows and says is so: its tables are built from the committed records, its commands exist."""

import json
import re
from pathlib import Path

import pytest

from benchmark import cli
from benchmark.records.store import Store
from benchmark.reports import tables

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
GUIDE = "\n".join(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))
AXES = sorted((ROOT / "results").glob("**/axis-*.md"))
SIZES = ("60 %", "95 %")
PROBES = sorted((ROOT / "results").glob("**/probe/*--*.md"))
FINDINGS = {"SST-2": "sst2", "MRPC": "mrpc", "CoLA": "cola", "STS-B": "stsb"}  # tasks, in the order of docs/findings.md
COMMITTED = sorted(path.parent for path in (ROOT / "results").glob("*/*/table.md"))


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda p: p.parent.name)
def test_committed_tables_are_what_the_records_give(folder):
    preset, suite = folder.parent.name, folder.name
    store = Store(ROOT / "results", suite, preset)
    built = tables.build(store, tables.recorded_cells(store, suite, preset))
    assert tables.markdown(suite, preset, built, tables.loader(store.root)) == (folder / "table.md").read_text()
    assert tables.csv_text(built) == (folder / "table.csv").read_text()


@pytest.mark.parametrize("path", AXES, ids=lambda path: path.stem)
def test_committed_axes_are_what_the_records_give(path):
    from benchmark.grid.axes import get_axis
    from benchmark.reports import axes

    name, preset = path.stem.removeprefix("axis-"), path.parents[1].name
    found = axes.lines(get_axis(name), path.parents[2], preset)
    assert axes.markdown(name, preset, found) == path.read_text()
    assert path.with_suffix(".svg").exists()


@pytest.mark.parametrize("preset", ["small", "medium"])
def test_committed_tables_of_vtrans_are_what_the_records_give(preset, tmp_path, monkeypatch):
    from benchmark.reports.vtrans import tables as vtrans

    written = {}
    monkeypatch.setattr(vtrans, "write_atomically", lambda path, text: written.update({path: text}))
    (path,) = vtrans.write(ROOT / "results", preset)
    assert written[path] == path.read_text()


def test_committed_claims_are_what_the_records_give():
    from benchmark.reports.claims import declared, page, verdicts

    judged = verdicts.judge(declared.load(), ROOT / "results")
    assert page.markdown(judged) == (ROOT / "results" / "claims.md").read_text()
    assert sum(each.verdict != "not run" for each in judged) >= 18


@pytest.fixture(scope="module", params=["small", "medium"])
def contents(request):
    from benchmark.reports.page.gather import gather

    return gather(ROOT / "results", request.param)


def test_committed_page_and_summary_are_what_the_records_give(contents):
    from benchmark.reports.page import summary, write

    folder = ROOT / "results" / contents.preset
    data = json.loads(re.search(r'id="data">(.*?)</script>', (folder / "report.html").read_text(), re.DOTALL)[1])
    assert data["rows"] == json.loads(json.dumps(contents.rows)) and data["tasks"] == contents.tasks
    assert data["sweeps"] == write.sweeps(ROOT / "results", contents.preset)
    text = (folder / "summary.md").read_text()
    assert summary.markdown(contents) == text
    if contents.preset == "medium":
        shown = README.split("<!-- summary: results/medium/summary.md -->")[1].split("<!-- end of summary -->")[0]
        assert shown.strip() == text.strip()


def test_committed_figures_show_what_the_records_give(contents):
    from benchmark.reports.page import points
    from benchmark.reports.page.write import FIGURE_METHODS

    paths = sorted((ROOT / "results" / contents.preset / "figures").glob("pareto-*.json"))
    for path in paths:
        task = path.stem.removeprefix("pareto-")
        found = points.pareto_points(contents, "glue", task, "encoder", FIGURE_METHODS)
        assert json.loads(path.read_text())["data"]["values"] == found
        assert path.with_suffix(".svg").exists() and path.with_suffix(".pdf").exists()
    assert paths


def test_readme_commands_exist():
    known = {c.name or getattr(c.callback, "__name__", "") for c in cli.app.registered_commands}
    used = set(re.findall(r"vtrans-bench (\w+)", README + GUIDE))
    assert used and used <= known
    noxfile = (ROOT / "noxfile.py").read_text()
    for session in re.findall(r"nox -s ([a-z]\w*)", README + GUIDE):
        assert f"def {session}(" in noxfile


def test_every_committed_record_is_complete_and_meets_its_size():
    from benchmark.records.store import read_record

    found = sorted((ROOT / "results").glob("*/*/runs/*.json"))
    paths = [path for path in found if "quick" not in path.parts or "search" in path.parts]  # others are not committed
    for path in paths:
        record = read_record(path)
        assert record.status == "complete", path
        assert record.outcome is not None
        if record.outcome.sparsity is not None:
            assert abs(record.outcome.sparsity.real - record.outcome.sparsity.target) <= 0.01, path


def test_deployed_speeds_are_what_the_record_gives():
    from benchmark.commands.deployed import table

    lines = set()
    for path in (ROOT / "results" / "deployed").glob("*.json"):
        found = json.loads(path.read_text())
        assert path.with_suffix(".md").read_text() == table(found)
        for row in found["rows"]:
            small, large = (f"{each['speedup'][1]:.1f}" for each in row["latency"])
            numbers = f"{row['megabytes']:.1f} | {row['metrics']['accuracy']:.1f} | {small} | {large}"
            lines.add(f"| {row['model']}, {row['form']} | {numbers} |")
    forms = "PyTorch|torch.compile|ONNX Runtime|OpenVINO"
    said = [line for line in GUIDE.splitlines() if re.match(rf"\| [\w+-]+, ({forms})", line)]
    assert len(said) >= 5 and all(line in lines for line in said)


def test_committed_trials_of_gates_of_language_models_are_what_the_records_give():
    store = Store(ROOT / "results" / "axes", "llm", "quick")
    built = tables.build(store, tables.recorded_cells(store, "llm", "quick", "dev"))
    text = (store.folder / "table-dev.md").read_text()
    assert tables.markdown("llm", "quick", built, tables.loader(store.root)) == text
    found = dict(re.findall(r"\| (Faster-VTrans-LLM-s50\S*) +\| 1 .*?\| (\d+\.\d+) \[", text))
    shown = re.findall(
        r"^\| .*(?:0\.05|multipliers 0\.5|log-odds 0\.4|log-odds 0\.15) \| (\d+) \[", GUIDE, re.MULTILINE
    )
    assert sorted(round(float(value)) for value in found.values()) == sorted(map(int, shown)) != []


def test_what_the_findings_say_of_the_axes_is_what_their_tables_have():
    known = {}
    for path in AXES:
        for line in path.read_text().splitlines():
            if line.startswith("| rotten"):
                _, size, value, *_, found = [cell.strip() for cell in line.strip("|").split("|")]
                known[path.stem.removeprefix("axis-"), value, size] = found
    text = (ROOT / "docs" / "findings.md").read_text()
    said = re.findall(r"^\| (?!axis)([\w-]+) \(.*?\) \| (.+?) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    assert {
        (axis, value, size): found for axis, value, *both in said for size, found in zip(SIZES, both, strict=True)
    } == {key: found for key, found in known.items() if found != "–"}
    marked = sum("*" in found for found in known.values())
    assert f"{['No', 'One', 'Two', 'Three', 'Four'][marked]} of {2 * len(said)} differences are marked" in " ".join(
        text.split()
    )


def test_what_the_findings_say_of_pruning_is_what_the_table_has():
    table = (ROOT / "results" / "medium" / "glue" / "table.md").read_text()
    known = {}
    for task in FINDINGS.values():
        section = table.split(f"## {task}: differences")[1].split("\n#")[0]
        for line in section.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            known[task, cells[0].rstrip("†‡ ")] = (cells[2], cells[4]) if len(cells) > 4 else ()
    text = (ROOT / "docs" / "findings.md").read_text()
    section = text.split("## Pruning on ")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([\w-]+) \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    heads = [[FINDINGS[each.split()[0]] for each in row[1::2]] for row in rows if row[0] == "row"]
    assert [task for pair in heads for task in pair] == list(FINDINGS.values())
    tasks, seen = iter(heads), 0
    for row, *said in rows:
        if row == "row":
            pair = next(tasks)
            continue
        for task, words in zip(pair, (said[:2], said[2:]), strict=True):
            assert tuple(words) == known.get((task, row), ("–", "–")), (task, row)
            seen += 1
    assert seen >= 14 * len(FINDINGS)


def test_what_the_findings_say_of_four_more_tasks_is_what_the_table_has():
    table = (ROOT / "results" / "small" / "glue" / "table.md").read_text()
    tasks, known = ("qnli", "mnli", "qqp", "rte"), {}
    for task in tasks:
        for line in table.split(f"## {task}: differences")[1].split("\n#")[0].splitlines():
            cells = [cell.strip().replace("¹", "") for cell in line.strip("|").split("|")]
            if len(cells) > 4:
                known[task, cells[0].rstrip("†‡ ")] = {"row": cells[2], "− random, same size": cells[4]}
    section = (ROOT / "docs" / "findings.md").read_text().split("## Four more tasks")[1].split("\n## ")[0]
    heads, seen = "", 0
    for row, *said in re.findall(r"^\| ([^|]+?) \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", section, re.MULTILINE):
        if tuple(map(str.lower, said)) == tasks:
            heads = row
            continue
        for task, words in zip(tasks, said, strict=True):
            assert words == known.get((task, row), {}).get(heads, "–"), (task, row)
            seen += words != "–"
    assert seen >= 4 * 15


def test_what_the_notes_say_of_softer_counts_is_what_the_comparison_has():
    table = (ROOT / "results" / "medium" / "glue" / "against-VTrans-s95-dev.md").read_text()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    known = {(each[0], each[1]): each for each in cells if len(each) == 9}
    text = (ROOT / "docs" / "notes.md").read_text()
    rows = {
        "sharpness 2": "gates.sharpness=2.0",
        "sharpness 1": "gates.sharpness=1.0",
        "sharpens once met ¹": "constraint.sharpen=met",
        "soft slope": "gates.soft_slope=True",
    }
    said = dict(re.findall(r"^\| (sharp\w+ .*?|soft slope) \|(.+)\|$", text, re.MULTILINE))
    assert said.keys() == {"sharpness 4, default", *rows}
    for label, rest in said.items():
        stsb, gain, _, _, cola, loss, _ = (cell.strip() for cell in rest.split("|"))
        for task, score, difference in (("stsb", stsb, gain), ("cola", cola, loss)):
            if label not in rows:
                assert score == known[task, "VTrans-s95[gates.sharpness=1.0]"][5] and difference == "–"
            else:
                line = known[task, f"VTrans-s95[{rows[label]}]"]
                assert (score, difference) == (line[4].rstrip("¹"), line[6].rstrip("¹ *"))


def test_what_the_findings_say_of_magnitude_pruning_is_what_the_comparison_has():
    table = (ROOT / "results" / "medium" / "glue" / "against-magnitude.md").read_text()
    text = " ".join((ROOT / "docs" / "findings.md").read_text().split())
    said = re.search(r"by ([-\d.]+ \[.+?\]) at 80 %, ([-\d.]+ \[.+?\]) at 90 %, and ([-\d.]+ \[.+?\]) at 95 %", text)
    assert said
    for size, words in zip((80, 90, 95), said.groups(), strict=True):
        (line,) = [line for line in table.splitlines() if re.match(rf"\| mrpc +\| VTrans-s{size} ", line)]
        assert words in line.split("|")[7].replace("+", "")


@pytest.mark.parametrize("path", sorted((ROOT / "results").rglob("against-*.md")), ids=lambda path: path.stem)
def test_committed_comparisons_are_what_the_records_give(path):
    from benchmark.records.store import Store
    from benchmark.reports import compare, tables
    from benchmark.statistics.comparison import loader

    store, stem = Store(path.parents[2], path.parent.name, path.parents[1].name), path.stem.removeprefix("against-")
    against, split = stem.removesuffix("-dev"), "dev" if stem.endswith("-dev") else "validation"
    found = tables.build(store, tables.recorded_cells(store, store.suite, store.preset, split))
    lines = compare.lines(found, [], against, loader(store.root))
    assert compare.markdown(store.suite, store.preset, against, lines) == path.read_text()


@pytest.mark.parametrize("path", PROBES, ids=lambda path: path.stem)
def test_committed_probes_are_what_the_shares_give(path):
    from benchmark.records.store import read_record
    from benchmark.reports.attention.heads import heads_of
    from benchmark.reports.attention.probe import markdown

    task, row = path.stem.split("--")
    runs = sorted(path.parents[1].glob(f"runs/{task}--{row}--validation--seed*.json"))
    records = [read_record(run) for run in runs if (path.parent / run.name).exists()]
    heads = [heads_of(run, read_record(run)) for run in runs if (path.parent / run.name).exists()]
    assert heads and markdown(records[0], [r.seed for r in records], heads) == path.read_text()
