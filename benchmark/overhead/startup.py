"""What the suite takes before it trains, in seconds."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmark.overhead.steps import seconds_of


def best_of(function: Callable[[], object], rounds: int = 5) -> float:
    """Shortest time of a few calls, in seconds."""
    return min(seconds_of(function) for _ in range(rounds))


def lines() -> list[str]:
    """Start of the command line, planning, counting."""
    return [
        f"command line start (`list`): {best_of(lambda: _command('list')):.2f} s, limit 0.7 s",
        f"plan of 1,000 cells: {plan_seconds(1000):.2f} s, limit 1 s",
        f"count MACs and parameters of a BERT-base: {count_seconds():.2f} s, limit 3 s",
    ]


def _command(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "benchmark", *arguments], stdout=subprocess.DEVNULL, check=True)


def plan_seconds(cells: int) -> float:
    """Seconds to plan at least `cells` cells and look each up in an empty store."""
    from benchmark.grid.cells import plan
    from benchmark.records.store import Store

    def run() -> None:
        store = Store(Path("no-such-folder"), "glue", "small")
        per_seed = len(plan("glue", "small", seeds=[0]))
        planned = plan("glue", "small", seeds=list(range(-(-cells // per_seed))))
        for cell in planned:
            store.state(cell)

    return seconds_of(run)


def count_seconds() -> float:
    """Seconds to count one BERT-base: the MAC curve by fvcore and both parameter counts."""
    from transformers import BertConfig, BertForSequenceClassification

    from benchmark.measure.macs import MacCurve
    from benchmark.runs.outcome import count_parameters

    model = BertForSequenceClassification(BertConfig())

    def run() -> None:
        MacCurve.of(model)
        count_parameters(model, model)

    return best_of(run, 3)
