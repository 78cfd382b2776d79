"""Prune a language model that is held in shards by several processes: masks under DeepSpeed, then its files are cut."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.commands.memory import available, check_fits, estimate, read_config
from benchmark.commands.user_model import check_out, find_model, publish
from benchmark.common.digests import key_of, weights_digest
from benchmark.grid.rows import build
from benchmark.grid.suites import Preset, get_preset
from benchmark.tasks.kind import kind_of
from benchmark.tasks.registry import Task, get_task
from vtrans.errors import SuiteError
from vtrans.methods.adapters import RecoverLora
from vtrans.methods.base import Job, config_of, run_stages
from vtrans.methods.decoder import FasterVTransLLM
from vtrans.training.engine import Sharding

if TYPE_CHECKING:
    from torch import nn

    from vtrans.training.engine import ShardedEngine
    from vtrans.training.loop import Report

MASKS = "masks.safetensors"


@dataclass(frozen=True)
class Request:
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
        method = build(row, self.scale.phases(self.task), self.scale.overrides)
        assert isinstance(method, FasterVTransLLM)
        return method


def shard_model(request: Request, report: "Report | None" = None) -> str:
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
    job = train(request, method, task, source, engine, report)
    assert job.desk.folder is not None
    result = pruned = job.desk.folder / "pruned"
    if engine.rank == 0:
        cut(job, source, pruned)
    if method.lora:
        result = job.desk.folder / "merged"
        recover(method.lora, job, engine, pruned, result)
    return _finish(request, job, source, result) if engine.rank == 0 else ""


def check_memory(request: Request, source: Path, ranks: int) -> None:
    """Raise `SuiteError` where a rank has less memory than the estimate says it needs."""
    import torch

    batch = -(-request.method().prune.batch // ranks)
    on_host = not torch.cuda.is_available()
    need = estimate(
        read_config(source), request.sharding, ranks, batch, request.scale.max_length, 4 if on_host else 2, on_host
    )
    check_fits(need, available(), request.sharding)


def train(
    request: Request,
    method: FasterVTransLLM,
    task: Task,
    source: Path,
    engine: "ShardedEngine",
    report: "Report | None" = None,
) -> Job:
    """Train the gates up to the decision."""
    from benchmark.common.checkpoints import load_tokenizer
    from vtrans.training.loop import Desk

    data, tokenizer = kind_of(task).load(task, request.data_dir), load_tokenizer(source)
    windows = kind_of(task).encode(task, data.train, tokenizer, request.scale.max_length)
    model = load(source, request.sharding, engine)
    work = request.out / "work" / request_key(request, source, data.digest)
    desk = Desk(folder=work, report=report if engine.rank == 0 else None, engine=engine)
    job = Job(model, model, windows, request.seed, desk)
    run_stages(job, method.gate_stages())
    seconds = job.report["seconds"] = {name: round(value, 3) for name, value in job.report["seconds"].items()}
    job.report |= {"method": config_of(method), "sharding": config_of(request.sharding), "data": data.source}
    job.report |= {"ranks": engine.ranks, "tokens_per_second": round(_tokens(method, windows) / sum(seconds.values()))}
    return job


def request_key(request: Request, source: Path, data: str) -> str:
    """Hash of everything that the masks depend on: request, weights and text."""
    method = config_of(request.method())
    config = [request.task, request.seed, request.scale.max_length, weights_digest(source), data]
    return key_of({"request": config, "method": method, "sharding": config_of(request.sharding)})


def _tokens(method: FasterVTransLLM, windows: Any) -> int:
    steps = [s.total(len(windows)) * s.batch for s in (method.prune, method.recover)]
    return sum(steps) * max(windows.lengths)


def load(source: Path, sharding: Sharding, engine: "ShardedEngine") -> "nn.Module":
    """The model, under stage 3 cut into shards while it is read, so that no rank ever holds all of it."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.integrations import HfDeepSpeedConfig

    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    kept = HfDeepSpeedConfig(sharding.config(1)) if sharding.stage == 3 else None
    model = AutoModelForCausalLM.from_pretrained(source, local_files_only=True, dtype=dtype)
    del kept  # transformers looks at it through a weak reference while it reads
    return model if sharding.stage == 3 else model.to(engine.device(model))


def cut(job: Job, source: Path, out: Path) -> None:
    """Cut the model's files to the decision."""
    from vtrans.saving.layerwise import materialise_files, save_decision

    assert job.decision is not None
    out.mkdir(parents=True, exist_ok=True)
    save_decision(job.decision, out / MASKS)
    materialise_files(source, job.decision, out)


def recover(settings: RecoverLora, job: Job, engine: "ShardedEngine", pruned: Path, out: Path) -> None:
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
    job.model = job.teacher = model = load_pruned(pruned).to(engine.device(job.model))
    job.stage += 1
    torch.manual_seed(job.stage_seed)
    adapters = LowRank(model, projections(model), settings.rank, settings.alpha, settings.dropout)
    objective = LowRankObjective(model, adapters.to(engine.device(model)))
    name = f"{job.stage}-recoverlora"
    with adapters.beside(model):
        fit(objective, job.train, settings.schedule, job.stage_seed, name, job.desk)
    job.report["seconds"][name] = round(job.desk.elapsed[name], 3)
    if engine.rank == 0:
        merge_files(pruned, adapters, model, out)
        (out / MASKS).write_bytes((pruned / MASKS).read_bytes())


def _finish(request: Request, job: Job, source: Path, result: Path) -> str:
    from benchmark.common.checkpoints import load_tokenizer
    from benchmark.records.provenance import peak_memory_bytes
    from vtrans.saving.pruned import load_pruned

    load_tokenizer(source).save_pretrained(result)
    job.report["peak_memory_bytes"] = peak_memory_bytes()
    (result / "report.json").write_text(json.dumps(job.report, indent=1) + "\n")
    publish(result, request.out)
    small = sum(p.numel() for p in load_pruned(request.out).parameters())
    kept = job.report["pruning"]["kept"]
    return (
        f"{request.out}: {small:,} parameters, hidden {kept['hidden']}, in {sum(job.report['seconds'].values()):.0f} s"
    )
