"""What makes a token selector drop tokens: the skim loss, and the two terms of Infor-Coef's information bottleneck."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from vtrans.tokens.encoder import Trace

Fidelity = Literal["corrected", "official"]
_EPS = 1e-6


@dataclass(frozen=True)
class TokenLosses:
    """Coefficients of the terms that come beside the task's loss; 0 leaves a term out.

    Attributes:
        skim: of Transkimmer's skim loss.
        entropy: gamma_1 of Infor-Coef's L_entropy.
        norm: gamma_2 of its L_norm. Under the `corrected` reading 0.5 pulls at the keep probabilities about
            as hard as the published 5e-4 under the official one, whose norm is 1108 for a batch of 32 x 50 x 768
            states of unit variance.
        warmup: share of the steps before `skim` and `norm` act (official code: one epoch).
        fidelity: reading of all three; see the functions.
    """

    skim: float = 0.0
    entropy: float = 0.0
    norm: float = 0.0
    warmup: float = 0.0
    fidelity: Fidelity = "corrected"

    def weighted(self, traces: "Sequence[Trace]", progress: float) -> "dict[str, Tensor]":
        """Weighted terms for the traces of one masked pass at `progress` in [0, 1)."""
        terms: dict[str, Tensor] = {}
        if not traces:  # every layer was pruned whole
            return terms
        if self.entropy:
            terms["entropy"] = self.entropy * entropy_loss(traces, self.fidelity)
        if self.norm and progress >= self.warmup:
            terms["norm"] = self.norm * norm_loss(traces, self.fidelity)
        if self.skim and progress >= self.warmup:
            terms["skim"] = self.skim * skim_loss(traces, self.fidelity)
        return terms


def skim_loss(traces: "Sequence[Trace]", fidelity: Fidelity = "corrected") -> "Tensor":
    """Share of tokens kept, mean over the batch and the layers, 0-d (Transkimmer, section 3.3).

    `official` counts padding in numerator and denominator. Both count the first token, which always stays.
    """
    if fidelity == "official":
        shares = [keep.mean() for keep in _running([t.decision.keep for t in traces])]
    else:
        shares = [(t.after.sum(1) / t.real.sum(1)).mean() for t in traces]
    return _mean(shares)


def entropy_loss(traces: "Sequence[Trace]", fidelity: Fidelity = "corrected") -> "Tensor":
    """-H of the decisions, mean over tokens and layers, 0-d (Infor-Coef, equation 13).

    `corrected` takes the entropy of the keep probability of each real token that enters the layer, the first
    one left out. `official` takes the running product of the noisy Gumbel samples, padding included, and the
    mask of the batch's first sequence in place of each one's own in the second half.
    """
    if fidelity == "official":
        return _mean([_official_entropy(soft.clamp(_EPS, 1 - _EPS)) for soft in _soft(traces)])
    return _mean([_entropy_of_entering(t) for t in traces])


def _entropy_of_entering(trace: "Trace") -> "Tensor":
    assert trace.decision.probability is not None, "a learnt selector gives probabilities"
    p = trace.decision.probability[:, 1:].clamp(_EPS, 1 - _EPS)
    entering = trace.before[:, 1:].detach()
    negative_entropy = p * p.log() + (1 - p) * (1 - p).log()
    return (negative_entropy * entering).sum() / entering.sum().clamp(min=1)


def _official_entropy(p: "Tensor") -> "Tensor":
    return (p * p.log() + (1 - p) * (1 - p[0]).log()).mean()


def norm_loss(traces: "Sequence[Trace]", fidelity: Fidelity = "corrected") -> "Tensor":
    """Size of the states that the selector lets through, mean over layers, 0-d (Infor-Coef, equation 16).

    `corrected` is 1/2 (pi h)^2, mean over real tokens and hidden units, with pi the chance of having been kept
    up to here and h over its root mean square in the batch, a constant to the gradient: the bound compares h
    with N(0, 1), and the states of a model have another scale in each layer. It is 1/2 where nothing is
    dropped. As in the printed formula the gradient reaches h too. `official` is the Frobenius norm, not
    squared, of the whole padded batch `(batch, length, hidden)` under the noisy samples.
    """
    if fidelity == "official":
        pairs = zip(traces, _soft(traces), strict=True)
        return _mean([(t.hidden.float() * soft.unsqueeze(-1)).norm() for t, soft in pairs])
    chances = _running([_probability(t) for t in traces])
    return _mean([_mean_square(t, chance) / 2 for t, chance in zip(traces, chances, strict=True)])


def _mean_square(trace: "Trace", chance: "Tensor") -> "Tensor":
    squares = trace.hidden.float().square().mean(-1) * trace.real
    unit = squares.sum().detach() / trace.real.sum()
    return (squares / unit * chance.square()).sum() / trace.real.sum()


def _probability(trace: "Trace") -> "Tensor":
    assert trace.decision.probability is not None, "a learnt selector gives probabilities"
    return trace.decision.probability


def _soft(traces: "Sequence[Trace]") -> "list[Tensor]":
    return list(_running([t.decision.soft for t in traces if t.decision.soft is not None]))


def _running(factors: "Sequence[Tensor]") -> "Iterator[Tensor]":
    """Products of the factors up to each one."""
    product = None
    for factor in factors:
        product = factor if product is None else product * factor
        yield product


def _mean(values: "Sequence[Tensor]") -> "Tensor":
    import torch

    return torch.stack(list(values)).mean()
