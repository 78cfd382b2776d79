"""Prune a language model that is held in shards by several processes: masks under DeepSpeed, then its files are cut."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.commands.user_model import check_out, find_model, publish
from benchmark.common.digests import key_of, weights_digest
from benchmark.grid.rows import build, sized_setting
from benchmark.grid.sharded import estimate
from benchmark.grid.suites import Preset, get_preset
from benchmark.runs.memory import available, check_memory_fits, read_config, shape_of
from benchmark.tasks.kind import kind_of
from benchmark.tasks.registry import Task, get_task
from vtrans import ranks
from vtrans.errors import SuiteError
from vtrans.methods.base import CompressionState, config_of
from vtrans.methods.decoder import FasterVTransLLM
from vtrans.methods.files import MERGED, PRUNED, place
from vtrans.settings import Sharding
from vtrans.signals import cancelling

if TYPE_CHECKING:
    from vtrans.training.engine import Engine
    from vtrans.training.loop import Report


@dataclass(frozen=True)
class ShardRequest:
    """What `vtrans-bench shard` was asked for; see its help."""

    model: str
    task: str
    sparsity: float
    out: Path
    sharding: Sharding
    preset: str = "quick"
    data_dir: Path | None = None
    seed: int = 0
    lora: bool = False

    @property
    def scale(self) -> Preset:
        """The preset, of the suite llm."""
        return get_preset(self.preset, "llm")

    def method(self) -> FasterVTransLLM:
        """Faster-VTrans under the preset's schedules."""
        row = f"Faster-VTrans-LLM{'-LoRA' if self.lora else ''}-s{self.sparsity * 100:g}"
        layers = read_config(find_model(self.model)).num_hidden_layers
        setting = sized_setting(row, self.scale.setting("llm", get_task(self.task), layers))
        method = build(row, setting)
        assert isinstance(method, FasterVTransLLM)
        return method


def shard_model(request: ShardRequest, report: "Report | None" = None) -> str:
    """Run a request on this rank; the first one writes masks, model, tokenizer and `report.json`.

    Checkpoints lie in `OUT/work/KEY`, under a key of everything that the masks depend on: the same command goes on
    after a crash, another one starts anew.

    Raises:
        SuiteError: bad input or too little memory, found before anything is loaded.
        RunFailed, RunCancelled: as `vtrans.training.loop.fit`.
    """
    from vtrans.saving.layerwise import check_files
    from vtrans.training.zero import ZeroEngine

    task, method = get_task(request.task), request.method()
    if not kind_of(task).decodes:
        raise SuiteError(f"{task.name} is no causal language modelling", "choose wikitext2-raw or imdb")
    source = find_model(request.model)
    engine = ZeroEngine(request.sharding)
    if ranks.rank() == 0:
        check_out(request.out, source)
        check_files(source)
    check_memory(request, source, ranks.world_size())
    state = train(request, method, task, source, engine, report)
    result = place(state, MERGED if method.lora else PRUNED)
    return _finish(request, state, source, result) if ranks.rank() == 0 else ""


def check_memory(request: ShardRequest, source: Path, count: int) -> None:
    """Raise `SuiteError` where a rank has less memory than the estimate says it needs."""
    import torch

    from vtrans.training.zero import weights_type

    batch = -(-request.method().prune.batch // count)
    need = estimate(
        shape_of(read_config(source)),
        request.sharding,
        count,
        batch,
        request.scale.max_length,
        weights_type().itemsize,
        on_host=not torch.cuda.is_available(),
    )
    ranks.raise_together(lambda: check_memory_fits(need, available(), request.sharding))


def train(
    request: ShardRequest,
    method: FasterVTransLLM,
    task: Task,
    source: Path,
    engine: "Engine",
    report: "Report | None" = None,
) -> CompressionState:
    """Compress the model; what it becomes lies in files beside the checkpoints."""
    from benchmark.common.checkpoints import load_tokenizer
    from benchmark.runs.runner import in_files
    from vtrans.training.loop import RunContext

    data, tokenizer = kind_of(task).load(task, request.data_dir), load_tokenizer(source)
    windows = kind_of(task).encode_for(source, task, data.train, tokenizer, request.scale.max_length)
    work = request.out / "work" / request_key(request, source, data.digest)
    run_context = RunContext(work, report if ranks.rank() == 0 else None, engine=engine)
    state = CompressionState(in_files(source, engine), windows, request.seed, run_context)
    with cancelling():
        method.compress(state)
    seconds = state.report["seconds"] = {name: round(value, 3) for name, value in state.report["seconds"].items()}
    state.report |= {"method": config_of(method), "sharding": config_of(request.sharding), "data": data.source}
    trained = sum(run_context.tokens.values()) / sum(seconds.values())
    state.report |= {"ranks": ranks.world_size(), "tokens_per_second": round(trained)}
    return state


def request_key(request: ShardRequest, source: Path, data: str) -> str:
    """Hash of everything that the masks depend on: request, weights and text."""
    method = config_of(request.method())
    config = [request.task, request.seed, request.scale.max_length, weights_digest(source), data]
    return key_of({"request": config, "method": method, "sharding": config_of(request.sharding)})


def _finish(request: ShardRequest, state: CompressionState, source: Path, result: Path) -> str:
    from benchmark.common.checkpoints import load_tokenizer
    from vtrans.saving.pruned import load_pruned

    load_tokenizer(source).save_pretrained(result)
    (result / "report.json").write_text(json.dumps(state.report, indent=1) + "\n")
    publish(result, request.out)
    small = sum(p.numel() for p in load_pruned(request.out).parameters())
    kept = state.report["pruning"]["kept"]
    seconds = sum(state.report["seconds"].values())
    return f"{request.out}: {small:,} parameters, hidden {kept['hidden']}, in {seconds:.0f} s"
