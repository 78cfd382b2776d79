"""GLUE: rows, and the schedules of each preset."""

from dataclasses import replace
from typing import Any

from baselines.cofi import HardConcreteGates
from baselines.parts.token_losses import TokenLosses
from benchmark.grid.presets.base import Preset
from benchmark.grid.schedules import Schedules
from benchmark.tasks.registry import GLUE, get_task
from vtrans.settings import Constraint, GateRates, Schedule

ROWS = (
    "dense",
    "random-s60",
    "magnitude-s60",
    "CoFi-s60",
    "CoFi-s80",
    "CoFi-s95",
    "VTrans-s60",
    "VTrans-s80",
    "VTrans-s95",
    "Fast-VTrans-s60",
    "Faster-VTrans-s60",
)
TOKEN_ROWS = ("Transkimmer", "PoWER-BERT", "Infor-Coef-4x", "Infor-Coef-16x", "VTrans+Infor-Coef")
STUDENT_ROWS = ("DistilBERT-style", "TinyBERT-style")
QUICK_ROWS = tuple(row for row in ROWS if not row.endswith("-s80")) + TOKEN_ROWS
TABLE_3 = ("CoFi-s60+Infor-Coef-no-entropy", "CoFi-s60+Infor-Coef-no-norm")
FIGURE_3 = (
    "Infor-Coef-4x@0.5",
    "Infor-Coef-4x@2",
    "CoFi-s60+Infor-Coef-skim@0.5",
    "CoFi-s60+Infor-Coef-skim",
    "CoFi-s60+Infor-Coef-skim@2",
)
FIGURE_4 = ("Infor-Coef@0.5", "Infor-Coef", "Infor-Coef@2")
ABLATIONS = TABLE_3 + FIGURE_3 + FIGURE_4
EMBEDDINGS = (
    *(f"{method}-s{share}" for share in (20, 30, 40) for method in ("VTrans-total", "CoFi-layers-total")),
    "VTrans-total-s60",  # out of reach with whole embeddings, which are half of MiniLM-L6
)
AGNOSTIC = ("CoFi-agnostic-s60", "VTrans-agnostic-s60")
# Of the preset `small`. In one trial on rows of SST-2 held out of train, 1,200 steps dropped more tokens than 400 and
# lost less; the longer sequences of QNLI and MNLI are left at 400 for the time they take.
_TOKEN_STEPS = {"sst2": 1200, "cola": 240, "stsb": 240, "mrpc": 240, "rte": 240, "wnli": 240}
_SMALL_DATA = ("cola", "stsb", "mrpc", "rte", "wnli")


# A few hundred steps instead of CoFi's tens of thousands: the gates need a faster rate to get anywhere.
SHORT: dict[str, dict[str, Any]] = {
    "CoFi": {"gates": HardConcreteGates(rates=GateRates(0.05, coarse=0.25)), "constraint": Constraint()},
    "PoWER-BERT": {"rate": 0.03, "penalty": 2e-4},
}
# Eighty steps: predictors have to get from a bias of 5 to decisions in a few dozen. At such a rate the pressure of
# the longer presets drops every token of a small model before the task can object.
SHORTEST = SHORT | {
    "Transkimmer": {"rate": 5e-3},
    "Infor-Coef": {"rate": 2e-2, "losses": TokenLosses(entropy=4e-4, norm=0.15, warmup=0.1)},
}
PAPER = {"Transkimmer": {"rate": 2e-5}, "Infor-Coef": {"rate": 2e-5}}


def _quick(task: str) -> Schedules:
    prune = Schedule(steps=140, lr=1e-4)
    return Schedules(
        finetune=Schedule(steps=220, lr=1e-4, warmup=0.1),
        prune=prune,
        recover=Schedule(steps=130, lr=3e-4),
        fast_prune=replace(prune, steps=80),
        fast_recover=Schedule(steps=40, lr=3e-4),
        tokens=Schedule(steps=80, lr=2e-5, warmup=0.1),
        token_search=Schedule(steps=50, lr=2e-5),
        length=get_task(task).fixed_length,
    )


def _small(task: str) -> Schedules:
    few = task in _SMALL_DATA
    prune = Schedule(steps=240, batch=16, lr=3e-4) if few else Schedule(steps=300, lr=1e-4)
    return Schedules(
        finetune=Schedule(steps=400, batch=16, lr=1e-4, warmup=0.1)
        if few
        else Schedule(steps=600, lr=1e-4, warmup=0.1),
        prune=prune,
        recover=replace(prune, steps=120 if few else 800, lr=3e-4),
        fast_prune=replace(prune, steps=100 if few else 150),
        fast_recover=replace(prune, steps=50 if few else 75, lr=3e-4),
        tokens=Schedule(steps=_TOKEN_STEPS.get(task, 400), batch=prune.batch, lr=2e-5, warmup=0.1),
        token_search=Schedule(steps=120 if few else 200, batch=prune.batch, lr=2e-5),
        length=get_task(task).fixed_length,
    )


# Infor-Coef's table 5, and PoWER-BERT's README: lambda, rate of the retention weights, rate of the model, batch.
_JOINT_EPOCHS = {"mrpc": 10, "qnli": 5, "mnli": 3, "sst2": 10}
_RETENTION = {
    "cola": (7e-3, 1.5e-3, 2e-5, 32),
    "rte": (1e-3, 3e-3, 3e-5, 16),
    "qqp": (3e-4, 1e-4, 3e-5, 64),
    "mrpc": (3e-3, 3e-3, 6e-5, 64),
    "sst2": (2e-4, 5e-4, 3e-5, 64),
    "mnli": (1e-4, 2e-4, 3e-5, 64),
    "qnli": (1.5e-4, 2e-4, 3e-5, 16),
    "stsb": (1e-3, 3e-3, 3e-5, 64),
}


def _paper(task: str) -> Schedules:
    few = task in _SMALL_DATA
    joint = Schedule(epochs=_JOINT_EPOCHS.get(task, 5), lr=2e-5, warmup=0.1, weight_decay=0.01, embeddings=True)
    strength, rate, search_lr, batch = _RETENTION.get(task, (2e-4, 5e-4, 3e-5, 64))
    search = Schedule(epochs=3, batch=batch, lr=search_lr, warmup=0.1, embeddings=True)
    prune = Schedule(epochs=100 if few else 20, lr=2e-5)
    recover = Schedule(epochs=20, batch=64, lr=2e-5, decay="constant")
    return Schedules(
        finetune=Schedule(epochs=3, lr=2e-5, warmup=0.1, weight_decay=0.01, embeddings=True),
        prune=prune,
        recover=recover,
        fast_prune=prune,
        fast_recover=recover,
        ramp=0.2 if few else 0.1,
        tokens=joint,
        skim=Schedule(epochs=5 if task in ("mrpc", "wnli") else 3, batch=64, accumulate=2, lr=2e-5, embeddings=True),
        token_search=search,
        token_retrain=search,
        retention=(strength, rate),
        length=get_task(task).fixed_length,
    )


_PRESETS = (
    Preset(
        name="quick",
        summary="a quick look: MiniLM-L6 on Rotten Tomatoes, both from PyPI packages, one seed, minutes on two cores",
        model="minilm-l6",
        tasks=("rotten_tomatoes",),
        seeds=(0,),
        rows=QUICK_ROWS,
        evaluation_precision="fp32",
        max_length=64,
        schedules=_quick,
        overrides=SHORTEST,
        ablations=ABLATIONS,
        embeddings=EMBEDDINGS,
        agnostic=AGNOSTIC,
    ),
    Preset(
        name="small",
        summary="MiniLM-L6 on GLUE from the hub or --data-dir, three seeds, hours on two cores",
        model="minilm-l6",
        tasks=GLUE,
        seeds=(0, 1, 2),
        rows=ROWS + STUDENT_ROWS + TOKEN_ROWS,
        evaluation_precision="fp32",
        max_length=128,
        schedules=_small,
        overrides=SHORT,
        ablations=ABLATIONS,
        embeddings=EMBEDDINGS,
        agnostic=AGNOSTIC,
    ),
    Preset(
        name="paper",
        summary="BERT-base on GLUE with the papers' schedules, for a GPU",
        model="bert-base",
        gpu=True,
        tflops=60.0,
        tasks=GLUE,
        seeds=(0, 1, 2),
        rows=ROWS + STUDENT_ROWS + TOKEN_ROWS,
        evaluation_precision="fp32",
        max_length=128,
        schedules=_paper,
        overrides=PAPER,
        ablations=ABLATIONS,
        embeddings=EMBEDDINGS,
        agnostic=AGNOSTIC,
    ),
)
PRESETS = (
    *_PRESETS,
    replace(
        _PRESETS[-1],
        name="paper-roberta",
        summary="RoBERTa-base on GLUE with the schedules of BERT-base, for a GPU",
        model="roberta-base",
    ),
)
