"""Masked language modelling: where encoders are pruned without a task; rows, and the schedules of each preset."""

from dataclasses import replace

from benchmark.grid.presets.base import Preset
from vtrans.settings import Schedule, Schedules

ROWS = ("dense", "CoFi-s60", "VTrans-s60")


def _quick(task: str) -> Schedules:
    prune = Schedule(steps=100, batch=8, lr=1e-4)
    return Schedules(
        finetune=Schedule(steps=150, batch=8, lr=5e-4, warmup=0.1),
        prune=prune,
        recover=replace(prune, steps=80, lr=3e-4),
        fast_prune=prune,
        fast_recover=replace(prune, steps=40, lr=3e-4),
    )


def _small(task: str) -> Schedules:
    prune = Schedule(steps=300, batch=16, lr=1e-4)
    return Schedules(
        finetune=Schedule(steps=600, batch=16, lr=5e-4, warmup=0.1),
        prune=prune,
        recover=replace(prune, steps=600, lr=3e-4),
        fast_prune=replace(prune, steps=150),
        fast_recover=replace(prune, steps=75, lr=3e-4),
    )


def _paper(task: str) -> Schedules:
    # Corpus and steps of the paper's task-agnostic rows are not known to us; these are our choice.
    prune = Schedule(epochs=1, batch=64, lr=5e-5, warmup=0.05)
    return Schedules(
        finetune=None,  # the hub's model has an MLM head
        prune=prune,
        recover=prune,
        fast_prune=prune,
        fast_recover=prune,
    )


_PRESETS = (
    Preset(
        name="quick",
        summary="MiniLM-L6 on IMDB, both from PyPI packages, its head for words trained here; minutes",
        model="minilm-l6",
        tasks=("imdb-masked",),
        seeds=(0,),
        evaluation_precision="fp32",
        max_length=64,
        schedules=_quick,
    ),
    Preset(
        name="small",
        summary="MiniLM-L6 on IMDB, both from PyPI packages, its head for words trained here; one seed",
        model="minilm-l6",
        tasks=("imdb-masked",),
        seeds=(0,),
        evaluation_precision="fp32",
        max_length=128,
        schedules=_small,
    ),
    Preset(
        name="paper",
        summary="BERT-base on WikiText-103, for a GPU",
        model="bert-base",
        gpu=True,
        tflops=60.0,
        tasks=("wikitext103-masked",),
        seeds=(0, 1, 2),
        evaluation_precision="fp32",
        max_length=128,
        schedules=_paper,
    ),
)
PRESETS = (
    *_PRESETS,
    replace(
        _PRESETS[-1],
        name="paper-roberta",
        scale="paper",
        summary="RoBERTa-base on WikiText-103, for a GPU",
        model="roberta-base",
    ),
)
GRID = {preset.name: ROWS for preset in PRESETS}
