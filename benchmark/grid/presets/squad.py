"""SQuAD: rows, and the schedules of each preset."""

from dataclasses import replace

from benchmark.grid.presets.base import Preset
from benchmark.tasks.registry import ANSWER_LENGTH
from vtrans.settings import Schedule, Schedules

ROWS = ("dense", "CoFi-s60", "VTrans-s60", "Transkimmer", "PoWER-BERT", "Infor-Coef-4x")
SHORT_LENGTH = 256  # of windows, where 384 tokens take too long


def _small(task: str) -> Schedules:
    prune = Schedule(steps=150, batch=16, lr=1e-4)
    return Schedules(
        finetune=Schedule(steps=900, batch=16, lr=2e-4, warmup=0.1),
        prune=prune,
        recover=replace(prune, steps=300, lr=3e-4),
        fast_prune=replace(prune, steps=100),
        fast_recover=replace(prune, steps=50, lr=3e-4),
        tokens=Schedule(steps=200, batch=16, lr=2e-5, warmup=0.1),
        token_search=Schedule(steps=100, batch=16, lr=2e-5),
    )


def _quick(task: str) -> Schedules:
    prune = Schedule(steps=60, batch=8, lr=1e-4)
    return Schedules(
        finetune=Schedule(steps=150, batch=8, lr=2e-4, warmup=0.1),
        prune=prune,
        recover=replace(prune, steps=60, lr=3e-4),
        fast_prune=prune,
        fast_recover=replace(prune, steps=30, lr=3e-4),
        tokens=Schedule(steps=60, batch=8, lr=2e-5, warmup=0.1),
        token_search=Schedule(steps=40, batch=8, lr=2e-5),
    )


def _paper(task: str) -> Schedules:
    # CoFi's schedule for SQuAD; one for all token methods, near that of their papers' long tasks.
    prune = Schedule(epochs=20, batch=16, lr=3e-5)
    joint = Schedule(epochs=3, batch=16, lr=2e-5, warmup=0.1, weight_decay=0.01, embeddings=True)
    return Schedules(
        finetune=Schedule(epochs=2, batch=16, lr=3e-5, warmup=0.1, weight_decay=0.01, embeddings=True),
        prune=prune,
        recover=replace(prune, decay="constant"),
        fast_prune=prune,
        fast_recover=replace(prune, decay="constant"),
        tokens=joint,
        token_search=joint,
    )


_PRESETS = (
    Preset(
        name="quick",
        summary="MiniLM-L6 for minutes of training; evaluation over all questions takes longer than that",
        model="minilm-l6",
        tasks=("squad",),
        seeds=(0,),
        evaluation_precision="fp32",
        max_length=SHORT_LENGTH,
        schedules=_quick,
    ),
    Preset(
        name="small",
        summary="MiniLM-L6, windows of 256 tokens, from the hub or --data-dir; one seed",
        model="minilm-l6",
        tasks=("squad",),
        more_tasks=("squad_v2",),
        seeds=(0,),
        evaluation_precision="fp32",
        max_length=SHORT_LENGTH,
        schedules=_small,
    ),
    Preset(
        name="paper",
        summary="BERT-base, windows of 384 tokens, CoFi's schedule, for a GPU",
        model="bert-base",
        gpu=True,
        tflops=60.0,
        tasks=("squad",),
        more_tasks=("squad_v2",),
        seeds=(0, 1, 2),
        evaluation_precision="fp32",
        max_length=ANSWER_LENGTH,
        schedules=_paper,
    ),
)
PRESETS = (
    *_PRESETS,
    replace(
        _PRESETS[-1],
        name="paper-roberta",
        scale="paper",
        summary="RoBERTa-base, windows of 384 tokens, the schedules of BERT-base, for a GPU",
        model="roberta-base",
    ),
)
QUICK_ROWS = ("dense", "VTrans-s60", "Infor-Coef-4x")
GRID = {preset.name: QUICK_ROWS if preset.name == "quick" else ROWS for preset in PRESETS}
