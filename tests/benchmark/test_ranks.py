"""Two ranks write the records that one process writes, whatever holds the model; what is killed goes on in one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import launched
import pytest
import torch
from tiny import tiny_llama
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from transformers import AutoModelForCausalLM

from benchmark.commands.run import How, run, run_together
from benchmark.commands.selection import Selection
from benchmark.records.store import Store
from benchmark.runs.together import check_room, check_runs, launch
from vtrans.errors import RunFailed, SuiteError
from vtrans.pruning.surgery import materialise
from vtrans.saving.layerwise import load_decision
from vtrans.saving.pruned import load_pruned
from vtrans.settings import Sharding
from vtrans.training.disk import OWN

TESTS = Path(__file__).parents[1]
LORA = "Faster-VTrans-LLM-LoRA-s40"
LLM = f"dense,Faster-VTrans-LLM-s40,{LORA}"
GLUE = "dense,random-s50,VTrans-s50"


def start(folder: Path, count: int, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`vtrans-bench ARGUMENTS` on ranks."""
    paths = os.pathsep.join(str(path) for path in (TESTS.parent, TESTS))
    more = {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"} | environment
    ranks = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [*ranks, str(TESTS / "launched.py"), str(folder), *arguments]
    return subprocess.run(
        command, env=os.environ | more, capture_output=True, text=True, timeout=300, check=False, cwd=folder
    )


def command(suite: str, methods: str, results: str, *more: str) -> list[str]:
    return ["run", suite, "--preset", "tiny", "--methods", methods, "--data-dir", "data", "--results", results, *more]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of all kinds under one folder: starting two ranks takes longer than their steps."""
    pytest.importorskip("deepspeed")
    folder = tmp_path_factory.mktemp("together")
    launched.make(folder)
    with launched.registered(folder):
        fill(folder)
        yield folder


def fill(folder: Path) -> None:
    write_rows(folder / "data" / "sst2")
    for suite, methods in (("llm", LLM), ("glue", GLUE)):
        run(Selection(suite, "tiny", folder / "one", methods), How(folder / "data", teacher_cache=0))
    still = ["--no-latency"]
    commands = [
        command("glue", GLUE, "zero0", "--zero-stage", "0"),
        command("llm", LLM, "zero2", "--zero-stage", "2", *still),
        command("llm", LLM, "zero3", "--zero-stage", "3", "--offload", "cpu", "--gradient-checkpointing", *still),
    ]
    asked = ["--model", "tiny-llama", "--task", "wikitext2", "--sparsity", "0.4", "--data-dir", "data"]
    commands += [["shard", *asked, "--preset", "tiny", "--out", "shard", "--lora"]]
    result = start(folder, 2, *[part for each in commands for part in (*each, "--")][:-1])
    assert result.returncode == 0, result.stderr[-3000:]
    (folder / "stdout").write_text(result.stdout)


def write_rows(folder: Path) -> None:
    folder.mkdir(parents=True)
    for split, count in (("train", 60), ("validation", 45)):
        rows = [{"sentence": f"a {launched.WORDS[i % 8]} film {i}", "label": int(i % 8 < 4)} for i in range(count)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def records(folder: Path, root: str, suite: str, methods: str):
    store, cells = Selection(suite, "tiny", folder / root, methods).grid()
    return [(cell, store, store.read(cell)) for cell in cells]


@pytest.mark.parametrize(
    ("root", "suite", "methods", "stage"),
    [("zero0", "glue", GLUE, 0), ("zero2", "llm", LLM, 2), ("zero3", "llm", LLM, 3)],
)
def test_two_ranks_write_the_records_of_one_process(folder, root, suite, methods, stage):
    pairs = zip(records(folder, "one", suite, methods), records(folder, root, suite, methods), strict=True)
    for (cell, _, one), (_, _, two) in pairs:
        assert two is not None and two.key == one.key and two.status == "complete"
        for name, value in one.outcome.metrics.items():
            assert two.outcome.metrics[name] == pytest.approx(value, rel=1e-4), (cell.name, name)
        assert two.outcome.parameters == one.outcome.parameters
        assert two.outcome.report["widths"] == one.outcome.report["widths"]
        found = two.outcome.compute.ranks
        assert (found.count, found.stage) == (2, stage) and len(found.peak_memory_bytes) == 2
        assert one.outcome.compute.ranks is None and "ranks" not in one.outcome.compute.model_dump()
        if one.outcome.compute.training_flops and not found.checkpointing:  # which computes more
            assert two.outcome.compute.training_flops == pytest.approx(one.outcome.compute.training_flops, rel=0.02)
            assert found.tokens_per_second > 0


@pytest.mark.slow  # DeepSpeed compiles its reads of files first: minutes, once
def test_weights_that_wait_on_a_disk_give_the_records_of_weights_in_memory(tmp_path):
    builders = pytest.importorskip("deepspeed.ops.op_builder")
    if not builders.AsyncIOBuilder().is_compatible(verbose=False):
        pytest.skip("libaio is missing")
    launched.make(tmp_path)
    widths = {"hidden_size": 1024, "intermediate_size": 1280}  # a tensor of under 1 MB a rank stays in memory
    tiny_llama(vocab_size=300, num_hidden_layers=3, **widths).save_pretrained(tmp_path / "tiny-llama")
    (tmp_path / "disk").mkdir()
    asked = [
        command("llm", LLM, root, "--zero-stage", "3", "--no-latency", "--offload", place)
        for root, place in (("memory", "cpu"), ("file", str(tmp_path / "disk")))
    ]
    result = start(tmp_path, 2, *asked[0], "--", *asked[1])
    assert result.returncode == 0, result.stderr[-3000:]
    assert [path.name for path in (tmp_path / "disk" / OWN).iterdir()] == ["lock"]
    with launched.registered(tmp_path):
        ones, twos = ([record for *_, record in records(tmp_path, root, "llm", LLM)] for root in ("memory", "file"))
    for one, two in zip(ones, twos, strict=True):
        assert two.outcome.metrics == pytest.approx(one.outcome.metrics, rel=1e-6), one.row
        assert [each.outcome.compute.ranks.offload for each in (one, two)] == ["cpu", "nvme"]
    peaks = [max(max(each.outcome.compute.ranks.peak_memory_bytes) for each in found) for found in (ones, twos)]
    assert peaks[1] < 1.5 * peaks[0]  # DeepSpeed's own buffers are 2 GB a model


def test_losses_of_each_step_equal_those_of_one_process(folder):
    def losses(root: str):
        found = []
        for _, _, record in records(folder, root, "glue", GLUE):
            for stage, curves in record.outcome.report["curves"].items():
                found += [
                    (stage, name, step, value)
                    for name, values in curves.items()
                    for step, value in zip(curves["step"], values, strict=True)
                    if name != "step" and value is not None
                ]
        return found

    one, two = losses("one"), losses("zero0")
    assert len({each[:2] for each in one}) > 6
    assert [each[:3] for each in one] == [each[:3] for each in two]
    for (*place, a), (*_, b) in zip(one, two, strict=True):
        assert b == pytest.approx(a, rel=2e-3, abs=1e-5), place  # curves keep four digits


def test_logged_losses_equal_those_of_one_process_to_five_digits(folder):
    compared = 0
    for (cell, one, _), (_, two, _) in zip(
        records(folder, "one", "glue", GLUE), records(folder, "zero0", "glue", GLUE), strict=True
    ):
        for path in one.work(cell).glob("*.jsonl"):
            lines = [store.work(cell).joinpath(path.name).read_text().splitlines() for store in (one, two)]
            for a, b in zip(*([json.loads(line) for line in each] for each in lines), strict=True):
                assert b == pytest.approx(a, rel=1e-5, abs=1e-7), (cell.name, path.name, a["step"])
                compared += 1
    assert compared >= 2 * 4  # the first and the last step of each stage


def test_the_table_shows_rows_of_ranks(folder):
    text = (folder / "zero3" / "tiny" / "llm" / "table.md").read_text()
    assert "Faster-VTrans-LLM-LoRA-s40" in text and "Faster-VTrans-LLM-s40" in text
    assert (folder / "stdout").read_text().count("written: ") == 3  # by the first rank alone


def test_killed_on_two_ranks_and_gone_on_in_one(folder):
    row = "Faster-VTrans-LLM-s40"
    asked = command("llm", row, "killed", "--zero-stage", "2", "--no-latency")
    result = start(folder, 2, *asked, DIE_AT=f"1:{launched.STEPS - 3}")
    assert result.returncode != 0
    ((cell, store, record),) = records(folder, "killed", "llm", row)
    assert record is None or (record.status == "failed" and "another rank has ended" in record.error)
    assert (store.work(cell) / "1-prune.ckpt").exists()
    log = store.work(cell) / "1-prune.jsonl"
    first, *lines = log.read_text().splitlines(keepends=True)
    log.write_text(json.dumps(json.loads(first) | {"task": 77.0}) + "\n" + "".join(lines))  # to be known again
    run(Selection("llm", "tiny", folder / "killed", row), How(folder / "data", timed=False))
    ((_, _, record),) = records(folder, "killed", "llm", row)
    ((_, _, one),) = records(folder, "one", "llm", row)
    for name, value in one.outcome.metrics.items():
        assert record.outcome.metrics[name] == pytest.approx(value, rel=1e-4)
    assert record.outcome.report["curves"]["1-prune"]["task"][0] == 77.0  # it did not begin anew


def test_shard_writes_masks_and_the_model_that_they_and_the_adapters_give(folder):
    out, dense = folder / "shard", AutoModelForCausalLM.from_pretrained(folder / "tiny-llama")
    (pruned,) = out.glob("work/*/pruned")
    expected, before = materialise(dense, load_decision(out / "masks.safetensors")), load_pruned(pruned)
    after = load_pruned(out).state_dict()
    moved = set()
    for (name, a), b in zip(expected.state_dict().items(), before.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
        moved |= set() if torch.equal(b, after[name]) else {name}
    assert moved and all("_proj.weight" in name for name in moved)
    report = json.loads((out / "report.json").read_text())
    assert report["ranks"] == 2 and report["tokens_per_second"] > 0
    assert any("recoverlora" in name for name in report["seconds"])
    ((_, _, record),) = records(folder, "zero3", "llm", LORA)
    assert report["pruning"]["kept"] == record.outcome.report["pruning"]["kept"]


def test_only_the_first_rank_writes(folder):
    ((cell, store, _),) = records(folder, "zero3", "llm", LORA)
    lines = (store.work(cell) / "1-prune.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(set(steps))


def test_what_ranks_cannot_do_is_refused(folder, monkeypatch):
    for arguments, cause in (
        (How(stage=2), "are for several ranks"),
        (How(offload="cpu"), "are for several ranks"),
        (How(checkpointing=True), "are for several ranks"),
    ):
        with pytest.raises(SuiteError, match=cause):
            run(Selection("glue", "tiny", folder / "none", "dense"), arguments)
    (cell,) = Selection("glue", "tiny", folder / "none", "VTrans-s50").grid()[1]
    with pytest.raises(SuiteError, match="VTrans-s50 trains weights, .* --zero-stage 0"):
        check_runs(cell, SimpleNamespace(frozen_backbone=True))
    (gates,) = Selection("llm", "tiny", folder / "none", "Faster-VTrans-LLM-s40").grid()[1]
    (forced,) = Selection("llm", "tiny", folder / "none", "Faster-VTrans-LLM-s40", precision="fp32").grid()[1]
    with monkeypatch.context() as patch:
        patch.setattr("vtrans.training.zero.weights_type", lambda: torch.bfloat16)
        check_runs(gates, SimpleNamespace(frozen_backbone=True))
        with pytest.raises(
            SuiteError, match="holds weights in bf16 .*; leave out --precision fp32, or give --zero-stage 0"
        ):
            check_runs(forced, SimpleNamespace(frozen_backbone=True))
    monkeypatch.setattr("benchmark.runs.together.available", lambda: 1000.0)
    with pytest.raises(SuiteError, match="a rank needs .* try more ranks"):
        check_room(gates, SimpleNamespace(frozen_backbone=True, sharding=Sharding(3)))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SuiteError, match="2 ranks were started, not 3"):
        run_together([], Store(folder, "glue", "tiny"), How(ranks=3), None)
    with pytest.raises(SuiteError, match="give --jobs or --ranks"):
        run_together([], Store(folder, "glue", "tiny"), How(jobs=2), None)


@pytest.mark.parametrize(("code", "cause"), [(-9, "rank 1 was killed .signal 9."), (2, "")])
def test_the_launcher_names_a_killed_rank_and_hands_on_other_codes(code, cause, monkeypatch):
    first = SimpleNamespace(exitcode=code)
    error = ChildFailedError.__new__(ChildFailedError)
    monkeypatch.setattr(ChildFailedError, "get_first_failure", lambda self: (1, first))

    def fail(*arguments):
        raise error

    monkeypatch.setattr("torch.distributed.launcher.api.elastic_launch", lambda *rest: fail)
    if not cause:
        assert launch(2) == code
        return
    with pytest.raises(RunFailed, match=cause):
        launch(2)
