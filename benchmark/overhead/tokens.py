"""What dropping tokens costs and gains in measured time, beside what it gains in MACs; part of `nox -s bench`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from vtrans.data.examples import Examples

BIASES = {"no token dropped": (-50.0, 0.0), "some dropped": (-1.0, 1.0), "many dropped": (0.0, 1.0)}  # mean, spread


def token_ratios(dense: "nn.Module", examples: "Examples") -> dict[str, dict[str, list[float]]]:
    """Measured speed-up (quartiles) and MACs speed-up of gathered models over `dense`, by how much they drop.

    Returns:
        For each of `BIASES`: `b1` and `b32`, quartiles of the measured speed-up; `macs`, speed-up unpadded and batch.
    """
    from benchmark.measure.latency import compare
    from benchmark.measure.macs import MacCurve
    from benchmark.measure.predict import predict
    from benchmark.measure.token_macs import dynamic_regimes

    base = MacCurve.of(dense).regimes(examples.lengths, 0)
    found = {}
    for name, (mean, spread) in BIASES.items():
        model = skimming(dense, mean, spread)
        lengths = predict(model, examples).lengths
        assert lengths is not None
        macs = dynamic_regimes(model, lengths, examples.lengths)
        found[name] = {
            "b1": compare(dense, model, examples, 1)["speedup"],
            "b32": compare(dense, model, examples, 32)["speedup"],
            "macs": [base["unpadded"] / macs["unpadded"], base["batch"] / macs["batch"]],
        }
    return found


def skimming(dense: "nn.Module", mean: float, spread: float) -> "nn.Module":
    """A copy of `dense` with predictors whose logit to keep is about `-mean` with the given spread."""
    import copy

    import torch

    from vtrans.anatomy import anatomy_of
    from vtrans.tokens import Predictor, attach

    model = copy.deepcopy(dense)
    selector: Any = Predictor.of(anatomy_of(model))
    with torch.no_grad():
        for mlp in selector.mlps.values():
            mlp[-1].weight[0].normal_(0, spread / 10)
            mlp[-1].weight[1].zero_()
            mlp[-1].bias.copy_(torch.tensor([mean, 0.0]))
    attach(model, selector)
    return model.eval()
