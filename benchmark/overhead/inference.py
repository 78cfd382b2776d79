"""Measured speed-up of smaller models over the dense one, beside that in MACs: what share of it arrives."""

from benchmark.overhead.models import cut, minilm, new_state, varied_examples
from benchmark.overhead.ratios import Ratio
from benchmark.overhead.tokens import token_ratios

STATIC = {0.6: 0.9, 0.8: 0.9, 0.95: 0.8}  # limits by sparsity
TOKENS = 0.8


def efficiencies() -> list[Ratio]:
    """Speed-up measured in turns over that in MACs, of static models and of those that drop tokens; batches of 32."""
    from benchmark.measure.latency import compare
    from benchmark.measure.macs import MacCurve

    dense, examples = minilm().eval(), varied_examples()
    macs = MacCurve.of(dense).regimes(examples.lengths, 0)["batch"]
    found = []
    for share, limit in STATIC.items():
        small = cut(new_state(examples), share).eval()
        ideal = macs / MacCurve.of(small).regimes(examples.lengths, 0)["batch"]
        timed = compare(dense, small, examples, 32)
        found.append(_share(f"static at {share:.0%}", timed["speedup"], ideal, timed["timed"], limit))
    for name, each in token_ratios(dense, examples).items():
        for batch, ideal in zip((1, 32), each["macs"], strict=True):
            bound = TOKENS if batch == 32 and name != "no token dropped" else None
            found.append(_share(f"{name}, batch {batch}", each[f"b{batch}"], ideal, 30, bound))
    return found


def _share(name: str, speedup: list[float], ideal: float, timed: int, limit: float | None) -> Ratio:
    low, middle, high = (value / ideal for value in speedup)
    note = f", {speedup[1]:.2f} x measured of {ideal:.2f} x in MACs"
    return Ratio(f"efficiency, {name}", (low, middle, high), timed, limit, at_least=True, note=note)
