"""What the README shows and says is so: its tables are built from the committed records, its commands exist."""

import re
from pathlib import Path

import pytest

from benchmark import cli
from benchmark.records.store import Store
from benchmark.reports import tables

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMITTED = sorted(path.parent for path in (ROOT / "results").glob("*/*/table.md"))


def rows(text: str) -> list[str]:
    """Table lines, without the padding of their cells."""
    return [re.sub(r"\s+", " ", line) for line in text.splitlines() if line.startswith("| ")]


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda p: p.parent.name)
def test_committed_tables_are_what_the_records_give(folder):
    preset, suite = folder.parent.name, folder.name
    store = Store(ROOT / "results", suite, preset)
    built = tables.build(store, tables.recorded_cells(store, suite, preset))
    assert tables.markdown(suite, preset, built, tables.loader(store.root)) == (folder / "table.md").read_text()
    assert tables.csv_text(built) == (folder / "table.csv").read_text()


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


def test_readme_shows_rows_of_a_committed_table():
    committed = {row for folder in COMMITTED for row in rows((folder / "table.md").read_text())}
    shown = [row for row in rows(README.split("## Two commands")[0]) if not row.startswith("| method")]
    assert len(shown) >= 10
    assert set(shown) <= committed


def test_readme_commands_exist():
    known = {c.name or getattr(c.callback, "__name__", "") for c in cli.app.registered_commands}
    used = set(re.findall(r"vtrans-bench (\w+)", README))
    assert used and used <= known
    noxfile = (ROOT / "noxfile.py").read_text()
    for session in re.findall(r"nox -s ([a-z]\w*)", README):
        assert f"def {session}(" in noxfile


def test_every_committed_record_is_complete_and_meets_its_size():
    from benchmark.records.store import read_record

    paths = sorted((ROOT / "results").glob("*/*/runs/*.json"))
    for path in paths:
        record = read_record(path)
        assert record.status == "complete", path
        assert record.outcome is not None
        if record.outcome.sparsity is not None:
            assert abs(record.outcome.sparsity.real - record.outcome.sparsity.target) <= 0.01, path
