"""What the measurements print and write; they are taken by `nox -s bench`, and not here."""

import json

import torch

from benchmark.overhead.ratios import Ratio, kind_of_machine, write
from benchmark.overhead.steps import step_ratios


def test_a_line_says_spread_limit_and_whether_it_is_kept():
    kept = Ratio.of("a over b", [1.0, 1.1, 1.2], 1.15)
    assert kept.kept and kept.line() == "a over b: 1.100 (1.050 to 1.150, n = 3), limit at most 1.15"
    broken = Ratio.of("c", [0.7], 0.8, at_least=True, note=", of 5")
    assert not broken.kept and broken.line() == "c: 0.700, limit at least 0.8, NOT KEPT, of 5"
    assert Ratio.of("d", [3.0]).kept


def test_the_file_has_the_machine_and_the_time(tmp_path):
    write(tmp_path / "ratios.json", "2026-01-01T00:00:00+00:00", [Ratio.of("a over b", [1.0, 1.2], 1.15)], ranks=2)
    found = json.loads((tmp_path / "ratios.json").read_text())
    assert found["provenance"]["started"] == "2026-01-01T00:00:00+00:00" < found["provenance"]["finished"]
    assert kind_of_machine().startswith(f"{torch.backends.cpu.get_cpu_capability().lower()}-")
    assert found["ratios"][0]["kept"] and found["ratios"][0]["n"] == 2 and found["ranks"] == 2


def test_every_kind_of_step_runs(tmp_path, monkeypatch):
    from tiny import tiny_bert, tiny_examples

    from benchmark.overhead import models, steps

    for module in (models, steps):
        monkeypatch.setattr(module, "minilm", lambda: tiny_bert(intermediate_size=640))
    monkeypatch.setattr(steps, "fixed_examples", tiny_examples)
    monkeypatch.setattr(steps, "STEPS", 2)
    monkeypatch.setattr(steps, "WARMUP", 1)
    names = [ratio.name for ratio in step_ratios(tmp_path)]
    assert names[-3:] == ["recovery at 60%", "recovery at 80%", "recovery at 95%"] and "pruning" in names
