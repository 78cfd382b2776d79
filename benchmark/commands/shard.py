"""Prune a language model that is held in shards by several processes: masks under DeepSpeed, then its files are cut."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.commands.memory import available, check_memory_fits, estimate, read_config
from benchmark.commands.user_model import check_out, find_model, publish
from benchmark.common.digests import key_of, weights_digest
from benchmark.grid.rows import build, sized_setting
from benchmark.grid.suites import Preset, get_preset
from benchmark.tasks.kind import kind_of
from benchmark.tasks.registry import Task, get_task
from vtrans.errors import SuiteError
from vtrans.methods.adapters import RecoverLora
from vtrans.methods.base import CompressionState, config_of, run_stages
from vtrans.methods.decoder import FasterVTransLLM
from vtrans.teaching.teacher import Teacher
from vtrans.training.engine import Sharding

if TYPE_CHECKING:
    from torch import nn

    from vtrans.training.engine import ShardedEngine
    from vtrans.training.loop import Report

MASKS = "masks.safetensors"


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
    from vtrans.training.engine import ShardedEngine

    task, method = get_task(request.task), request.method()
    if not kind_of(task).decodes:
        raise SuiteError(f"{task.name} is no causal language modelling", "choose wikitext2-raw or imdb")
    source = find_model(request.model)
    engine = ShardedEngine(request.sharding)
    if engine.rank == 0:
        check_out(request.out, source)
        check_files(source)
    check_memory(request, source, engine.ranks)
    state = train(request, method, task, source, engine, report)
    assert state.run_context.folder is not None
    result = pruned = state.run_context.folder / "pruned"
    if engine.rank == 0:
        cut(state, source, pruned)
    if method.lora:
        result = state.run_context.folder / "merged"
        recover(method.lora, state, engine, pruned, result)
    return _finish(request, state, source, result) if engine.rank == 0 else ""


def check_memory(request: ShardRequest, source: Path, ranks: int) -> None:
    """Raise `SuiteError` where a rank has less memory than the estimate says it needs."""
    import torch

    batch = -(-request.method().prune.batch // ranks)
    on_host = not torch.cuda.is_available()
    need = estimate(
        read_config(source), request.sharding, ranks, batch, request.scale.max_length, 4 if on_host else 2, on_host
    )
    check_memory_fits(need, available(), request.sharding)


def train(
    request: ShardRequest,
    method: FasterVTransLLM,
    task: Task,
    source: Path,
    engine: "ShardedEngine",
    report: "Report | None" = None,
) -> CompressionState:
    """Train the gates up to the decision."""
    from benchmark.common.checkpoints import load_tokenizer
    from vtrans.training.loop import RunContext

    data, tokenizer = kind_of(task).load(task, request.data_dir), load_tokenizer(source)
    windows = kind_of(task).encode_for(source, task, data.train, tokenizer, request.scale.max_length)
    model = load(source, request.sharding, engine)
    work = request.out / "work" / request_key(request, source, data.digest)
    run_context = RunContext(folder=work, report=report if engine.rank == 0 else None, engine=engine)
    state = CompressionState(Teacher(model), windows, request.seed, run_context)
    state.model = model  # itself: of one in shards there is no copy
    run_stages(state, method.gate_stages())
    seconds = state.report["seconds"] = {name: round(value, 3) for name, value in state.report["seconds"].items()}
    state.report |= {"method": config_of(method), "sharding": config_of(request.sharding), "data": data.source}
    state.report |= {
        "ranks": engine.ranks,
        "tokens_per_second": round(_tokens(method, windows) / sum(seconds.values())),
    }
    return state


def request_key(request: ShardRequest, source: Path, data: str) -> str:
    """Hash of everything that the masks depend on: request, weights and text."""
    method = config_of(request.method())
    config = [request.task, request.seed, request.scale.max_length, weights_digest(source), data]
    return key_of({"request": config, "method": method, "sharding": config_of(request.sharding)})


def _tokens(method: FasterVTransLLM, windows: Any) -> int:
    steps = [s.total(len(windows)) * s.batch for s in (method.prune, method.recover)]
    found: int = sum(steps) * max(windows.lengths)
    return found


def load(source: Path, sharding: Sharding, engine: "ShardedEngine") -> "nn.Module":
    """The model, under stage 3 cut into shards while it is read, so that no rank ever holds all of it."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.integrations import HfDeepSpeedConfig

    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    kept = HfDeepSpeedConfig(sharding.config(1)) if sharding.stage == 3 else None
    model = AutoModelForCausalLM.from_pretrained(source, local_files_only=True, dtype=dtype)
    del kept  # transformers looks at it through a weak reference while it reads
    found: nn.Module = model if sharding.stage == 3 else model.to(engine.device(model))
    return found


def cut(state: CompressionState, source: Path, out: Path) -> None:
    """Cut the model's files to the decision."""
    from vtrans.saving.layerwise import materialise_files, save_decision

    assert state.decision is not None
    out.mkdir(parents=True, exist_ok=True)
    save_decision(state.decision, out / MASKS)
    materialise_files(source, state.decision, out)


def recover(settings: RecoverLora, state: CompressionState, engine: "ShardedEngine", pruned: Path, out: Path) -> None:
    """Train adapters beside the smaller model, in shards too, and write it with them merged in.

    The text alone is the target: a teacher would be a second model in shards.
    """
    import torch

    from vtrans.methods.adapters import projections
    from vtrans.objectives.lora_sharded import LowRank, LowRankObjective, merge_files
    from vtrans.saving.pruned import load_pruned
    from vtrans.training.loop import fit

    engine.release()
    torch.distributed.barrier()  # the first rank has cut the files
    model = load_pruned(pruned).to(engine.device(state.model))
    state.model, state.teacher = model, Teacher(model)  # so that the dense one is let go
    state.stage += 1
    torch.manual_seed(state.stage_seed)
    adapters = LowRank(model, projections(model), settings.rank, settings.alpha, settings.dropout)
    objective = LowRankObjective(model, adapters.to(engine.device(model)))
    name = f"{state.stage}-recoverlora"
    with adapters.beside(model):
        fit(objective, state.train, settings.schedule, state.stage_seed, name, state.run_context)
    state.report["seconds"][name] = round(state.run_context.elapsed[name], 3)
    if engine.rank == 0:
        merge_files(pruned, adapters, model, out)
        (out / MASKS).write_bytes((pruned / MASKS).read_bytes())


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
