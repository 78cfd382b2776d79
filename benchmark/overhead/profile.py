"""Where the time of the smallest models goes, by operator: what stands between them and their limit in MACs."""

from collections.abc import Callable, Sequence
from pathlib import Path

ROUNDS, ROWS = 5, 14
SPARSITY = 0.95


def sections(folder: Path) -> dict[str, Callable[[int], object]]:
    """What is profiled, by its heading: each a function of the number of its round."""
    import torch

    from benchmark.overhead.models import cut, fixed_examples, minilm, new_state
    from benchmark.overhead.steps import recovery_loop
    from vtrans.data.examples import unlabelled
    from vtrans.teaching.cache import TeacherCache

    examples = fixed_examples()
    batch = unlabelled(examples.batch(range(32)))
    small, dense = cut(new_state(examples), SPARSITY).eval(), minilm().eval()
    loop = recovery_loop(SPARSITY, examples, TeacherCache(folder))

    def forward(model: torch.nn.Module) -> Callable[[int], object]:
        """One pass without gradients."""

        @torch.no_grad()
        def run(round_: int) -> object:
            """Of a round."""
            return model(**batch)

        return run

    return {
        f"Recovery step at {SPARSITY:.0%}": lambda round_: loop.step(round_ + 1),
        f"Inference at {SPARSITY:.0%}": forward(small),
        "Inference of the dense model": forward(dense),
    }


def markdown(folder: Path) -> str:
    """Tables of all sections."""
    from torch.profiler import ProfilerActivity, profile

    texts = []
    for heading, run in sections(folder).items():
        run(0)
        with profile(activities=[ProfilerActivity.CPU]) as found:
            for number in range(ROUNDS):
                run(number)
        texts.append(f"## {heading}\n\n{table(found.key_averages())}\n")
    return "\n".join(texts)


def table(events: Sequence[object]) -> str:
    """Milliseconds and calls per round of the costliest operators, by the time that they take themselves."""
    from tabulate import tabulate

    order = sorted(events, key=lambda event: -event.self_cpu_time_total)  # type: ignore[attr-defined]
    whole = sum(event.self_cpu_time_total for event in order) / ROUNDS / 1e3  # type: ignore[attr-defined]
    lines = [
        (event.key, event.self_cpu_time_total / ROUNDS / 1e3, event.count / ROUNDS)  # type: ignore[attr-defined]
        for event in order[:ROWS]
    ]
    rows = [(name, f"{ms:.2f}", f"{ms / whole:.1%}", f"{calls:g}") for name, ms, calls in lines]
    rows.append(("all operators", f"{whole:.2f}", "100.0%", ""))
    found: str = tabulate(rows, ("operator", "ms", "share", "calls"), tablefmt="github", disable_numparse=True)
    return found
