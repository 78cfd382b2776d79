"""SQuAD: rows, and the schedules of each preset."""

from dataclasses import replace

from baselines.parts.token_losses import TokenLosses
from benchmark.grid.presets import glue
from benchmark.grid.presets.base import Preset
from benchmark.grid.schedules import Schedules
from benchmark.tasks.registry import ANSWER_LENGTH
from vtrans.settings import Schedule

ROWS = ("dense", "CoFi-s60", "VTrans-s60", "Transkimmer", "PoWER-BERT", "Infor-Coef-4x")
SHORT_LENGTH = 256  # of windows, where 384 tokens take too long
# Two hundred steps, on a loss that wants every token of the passage: at GLUE's rate and pressure (1e-3 and 0.5), and at
# the fivefold rate, samplers ended where they began and kept all. Seen in runs of the validation cell, by their token
# counts; not chosen by scores.
SHORT = glue.SHORT | {"Infor-Coef": {"rate": 5e-3, "losses": TokenLosses(entropy=4e-4, norm=4.0, warmup=0.1)}}


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
        length=SHORT_LENGTH,
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
        length=SHORT_LENGTH,
    )


def _paper(task: str) -> Schedules:
    # CoFi's schedule for SQuAD; the token methods' are those of their papers' long tasks.
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
        length=ANSWER_LENGTH,
    )


_PRESETS = (
    Preset(
        name="quick",
        summary="MiniLM-L6 for minutes of training; evaluation over all questions takes longer than that",
        model="minilm-l6",
        tasks=("squad",),
        seeds=(0,),
        rows=("dense", "VTrans-s60", "Infor-Coef-4x"),
        evaluation_precision="fp32",
        max_length=SHORT_LENGTH,
        schedules=_quick,
        overrides=glue.SHORTEST,
    ),
    Preset(
        name="small",
        summary="MiniLM-L6, windows of 256 tokens, from the hub or --data-dir; one seed",
        model="minilm-l6",
        tasks=("squad",),
        more_tasks=("squad_v2",),
        seeds=(0,),
        rows=ROWS,
        evaluation_precision="fp32",
        max_length=SHORT_LENGTH,
        schedules=_small,
        overrides=SHORT,
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
        rows=ROWS,
        evaluation_precision="fp32",
        max_length=ANSWER_LENGTH,
        schedules=_paper,
        overrides=glue.PAPER,
    ),
)
PRESETS = (
    *_PRESETS,
    replace(
        _PRESETS[-1],
        name="paper-roberta",
        summary="RoBERTa-base, windows of 384 tokens, the schedules of BERT-base, for a GPU",
        model="roberta-base",
    ),
)
