"""The trials that choose rates: as many for each method, on rows held out of train, at 80 %, in half of the steps.

Beside them, at 80, 90 and 95 %, powers of what a unit owns that VTrans's constraint pushes by, and the controls.
Under the preset `quick`, endings of VTrans at 95 %.
"""

from collections.abc import Mapping

PRUNE, RECOVER = "prune.steps=200", "recover.steps=400"  # half of what SST-2 gets
ONE_SHOT = ("recover.lr=0.0003", "recover.lr=0.0006", "recover.lr=0.0012", "recover.lr=0.0024")
LEARNT = (
    "prune.lr=0.0003,recover.lr=0.0006",
    "prune.lr=0.0006,recover.lr=0.0006",
    "prune.lr=0.0006,recover.lr=0.0012",
    "prune.lr=0.0006,recover.lr=0.0012,gates.rates.odds=0.1",
)
TRIALS: Mapping[str, tuple[str, ...]] = {
    "dense": ("finetune.lr=0.0001", "finetune.lr=0.0004", "finetune.steps=2100"),  # and the teacher itself
    "random-s80": ONE_SHOT,
    "magnitude-s80": ONE_SHOT,
    "CoFi-s80": LEARNT,
    "VTrans-s80": LEARNT,
}
EXPONENTS = (1.0, 0.5, 0.25)
HARD = (95, 80, 90)


def _trials() -> tuple[str, ...]:
    steps = {"dense": "", "random-s80": f",{RECOVER}", "magnitude-s80": f",{RECOVER}"}
    found = (f"{row}[{t}{steps.get(row, f',{PRUNE},{RECOVER}')}]" for row, trials in TRIALS.items() for t in trials)
    return tuple(found)


def _hard() -> tuple[str, ...]:
    both = f"prune.lr=0.0006,recover.lr=0.0006,{PRUNE},{RECOVER}"
    found = list[str]()
    for size in HARD:
        powers = [power for power in EXPONENTS if (size, power) != (80, 0.5)]  # that one is a trial
        found += [f"VTrans-s{size}[constraint.size_exponent={power},{both}]" for power in powers]
        if size != 80:
            found += [f"CoFi-s{size}[{both}]"]
            found += [f"{name}-s{size}[recover.lr=0.0006,{RECOVER}]" for name in ("random", "magnitude")]
    return tuple(found)


# How VTrans holds 95 %, on Rotten Tomatoes under the preset `quick`: what decides hidden units and sub-layers at the
# end, and how fast the Lagrange multipliers ascend.
_ENDINGS = (
    "",
    "[constraint.threshold=units]",
    "[constraint.rate=0.2]",
    "[constraint.rate=0.2,constraint.threshold=units]",
)
ENDINGS = ("dense", "CoFi-s95", *(f"VTrans-s95{ending}" for ending in _ENDINGS), "random-s95", "magnitude-s95")
SEARCH = {"quick": ENDINGS, "medium": _trials() + _hard()}
