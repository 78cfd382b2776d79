"""Language modelling: rows, and the schedules of each preset."""

from dataclasses import replace

from benchmark.grid.presets.base import Preset
from vtrans.settings import Schedule, Schedules

ROWS = (
    "dense",
    "CoFi-s60",
    "VTrans-s40",
    "VTrans-s60",
    "VTrans-s80",
    "Fast-VTrans-s60",
    "Faster-VTrans-s60",
)
QUICK_ROWS = ("dense", "CoFi-s60", "VTrans-s60", "Fast-VTrans-s60", "Faster-VTrans-s60")


def _quick(task: str) -> Schedules:
    prune = Schedule(steps=120, batch=8, lr=3e-4)
    return Schedules(
        finetune=Schedule(steps=60, batch=8, lr=2e-4),
        prune=prune,
        recover=replace(prune, steps=100, lr=1e-3),
        fast_prune=replace(prune, steps=60),
        fast_recover=replace(prune, steps=40, lr=1e-3),
    )


def _small(task: str) -> Schedules:
    prune = Schedule(steps=300, batch=8, lr=3e-4)
    return Schedules(
        finetune=Schedule(epochs=1, batch=16, lr=1e-3, warmup=0.05, embeddings=True),
        prune=prune,
        recover=replace(prune, steps=600, lr=1e-3),
        fast_prune=replace(prune, steps=150),
        fast_recover=replace(prune, steps=75, lr=1e-3),
    )


def _paper(task: str) -> Schedules:
    # No published recipe for GPT-2 is known to us; these are CoFi's proportions at run_clm's usual rates.
    prune = Schedule(epochs=20, batch=8, lr=5e-5)
    return Schedules(
        finetune=Schedule(epochs=3, batch=8, lr=5e-5, embeddings=True),
        prune=prune,
        recover=replace(prune, decay="constant"),
        fast_prune=prune,
        fast_recover=replace(prune, decay="constant"),
    )


PRESETS = (
    Preset(
        name="quick",
        summary="a GPT-2 of 4 layers of width 192, pre-trained here on IMDB for minutes; one seed, no hub",
        model="gpt2-4x192-imdb",
        tasks=("imdb",),
        seeds=(0,),
        evaluation_precision="fp32",
        max_length=128,
        schedules=_quick,
    ),
    Preset(
        name="small",
        summary="a GPT-2 of 6 layers of width 256, pre-trained here on IMDB, on WikiText-2 from the hub or --data-dir",
        model="gpt2-6x256-imdb",
        tasks=("wikitext2",),
        seeds=(0,),
        evaluation_precision="fp32",
        max_length=128,
        schedules=_small,
    ),
    Preset(
        name="paper",
        summary="GPT-2 on WikiText-2 and WikiText-103 at context 1,024, for a GPU",
        model="gpt2",
        gpu=True,
        tflops=60.0,
        tasks=("wikitext2", "wikitext103"),
        seeds=(0, 1, 2),
        evaluation_precision="fp32",
        max_length=1024,
        schedules=_paper,
    ),
)
GRID = {preset.name: QUICK_ROWS if preset.name == "quick" else ROWS for preset in PRESETS}
