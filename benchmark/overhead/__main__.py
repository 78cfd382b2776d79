"""`python -m benchmark.overhead`: measure all that the suite promises of its own speed. `nox -s bench`."""

import sys
import tempfile
from pathlib import Path


def main(results: Path) -> None:
    """Print all figures, one per line, and write the ratios to `RESULTS/bench`."""
    from benchmark.commands.options import echo
    from benchmark.common.files import write_atomically
    from benchmark.overhead import families, inference, memory, models, parallel, profile, ranks, ratios, startup, steps
    from benchmark.records.provenance import now

    started = now()
    for line in startup.lines():
        echo(line)
    found: list[ratios.Ratio] = []

    def tell(heading: str, new: list[ratios.Ratio]) -> None:
        """Print ratios under a heading, and keep them."""
        echo("\n".join([heading, *(f"  {ratio.line()}" for ratio in new)]))
        found.extend(new)

    with tempfile.TemporaryDirectory() as folder:
        shape = f"MiniLM-L6's shape, {models.BATCH} x {models.LENGTH} tokens, {models.training_precision()}"
        tell(f"training steps of {shape}, over fine-tuning:", steps.step_ratios(Path(folder)))
        tell("a family, from such steps:", [families.family_ratio(Path(folder))])
        profiled = profile.markdown(Path(folder))
    tell("speed-up measured over speed-up in MACs, 8 to 48 tokens, fp32:", inference.efficiencies())
    tell("peak memory, rows like SST-2's:", memory.ratios())
    shared = [ratio for ratio in (parallel.throughput_ratio(), ranks.throughput_ratio()) if ratio]
    if shared:
        tell("processes:", shared)
    path = results / "bench" / f"{ratios.kind_of_machine()}.json"
    ratios.write(path, started, found)
    write_atomically(path.with_suffix(".profile.md"), profiled)
    echo(f"written: {path}, {path.with_suffix('.profile.md')}")


main(Path(sys.argv[1] if sys.argv[1:] else "results"))
