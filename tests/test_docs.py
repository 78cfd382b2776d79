"""Every example of README and docs runs or is one that the command reads; the site builds with its links."""

import csv
import re
import shlex
from pathlib import Path

import pytest
import typer
from tiny import tiny_bert

from benchmark import cli
from vtrans import settings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
WITH_PYTHON = [path for path in PAGES if "```python" in path.read_text()]


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


def commands():
    """Lines of shell that call the suite, continued ones joined, without their comments."""
    text = "\n".join(block for path in PAGES for block in blocks(path, "sh")).replace("\\\n", " ")
    lines = [line.partition(" # ")[0].strip() for line in text.splitlines()]
    return [
        re.split(r"vtrans-bench |-m benchmark ", line)[1] for line in lines if re.search("vtrans-bench |-m bench", line)
    ]


@pytest.fixture
def folder(tmp_path, model_dir, monkeypatch):
    """A working folder with what the examples name: a model with its tokenizer, and rows."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    for name in ("my-model", "small-model"):
        tiny_bert(vocab_size=len(tokenizer)).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    for name in ("train.csv", "test.csv"):
        with (tmp_path / name).open("w", newline="") as stream:
            rows = [(f"a {'good' if i % 2 else 'bad'} film {i}", i % 2) for i in range(64)]
            csv.writer(stream).writerows([("text", "label"), *rows])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", WITH_PYTHON, ids=lambda path: path.name)
def test_python_examples_run(path, folder, monkeypatch):
    for stage in ("prune", "recover"):
        monkeypatch.setitem(getattr(settings.QUICK, stage).__dict__, "steps", 6)
    names: dict = {}
    for block in blocks(path, "python"):
        exec(compile(block, str(path), "exec"), names)
    assert names


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_the_command_reads_the_examples(line):
    words = [word for word in shlex.split(line) if word not in ("...", "|")]
    command = typer.main.get_command(cli.app)
    if words[0].startswith("--"):
        return
    context = command.make_context("vtrans-bench", [], resilient_parsing=True)
    found = command.get_command(context, words[0])
    assert found is not None, words[0]
    found.make_context(words[0], words[1:], parent=context)


@pytest.mark.parametrize("text", blocks(ROOT / "docs" / "suites.md", "toml"), ids=["claims"])
def test_examples_of_claims_are_judged_on_the_committed_records(text, tmp_path):
    from benchmark.reports.claims import declared, page, verdicts

    (tmp_path / "own.toml").write_text(text)
    judged = verdicts.judge(declared.load(tmp_path / "own.toml"), ROOT / "results")
    assert all(each.found for each in judged[0].comparisons)
    assert page.write(judged, tmp_path, "own").name == "claims-own.md"


def test_examples_are_found():
    assert len(WITH_PYTHON) >= 3 and len(commands()) > 30


def test_the_site_builds_with_its_links(tmp_path):
    pytest.importorskip("mkdocs", reason="needs the extra `docs`")
    pytest.importorskip("material", reason="needs the extra `docs`")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(tmp_path)))
    compress = (tmp_path / "api" / "compress" / "index.html").read_text()
    assert "of the encoder's parameters by default" in compress  # docstrings are read
    assert "pareto-sst2.svg" in (tmp_path / "gallery" / "index.html").read_text()
    assert (tmp_path / "results" / "medium" / "figures" / "pareto-sst2.svg").exists()
