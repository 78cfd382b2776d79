"""The hard-concrete gate of Louizos et al. (2018) with CoFi's constants and decision rule."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vtrans import ranks
from vtrans.pruning.gates import Gate

LOW, HIGH = -0.1, 1.1  # the stretch of the concrete distribution
TEMPERATURE = 2 / 3
SHARPNESS = 0.8  # of the deterministic gate at evaluation
BOUND = 4.6051702  # log(100): CoFi clamps log alpha after every step


def _uniform(*shape: int, device: torch.device) -> Tensor:
    return torch.empty(*shape, device=device).uniform_(1e-6, 1 - 1e-6)


class HardConcreteGate(Gate):
    """Gate in [0, 1] with probability mass at 0 and at 1.

    Args:
        n: number of units.
        mean: start of log alpha, to which Gaussian noise of standard deviation 0.01 is added.
    """

    def __init__(self, n: int, mean: float) -> None:
        super().__init__()
        self.n = n
        self.loga = nn.Parameter(mean + 0.01 * torch.randn(n))

    def sample(self, *lead: int) -> Tensor:
        """`clamp(s (high - low) + low, 0, 1)` with concrete s, `(*lead, n)`."""
        u = ranks.sample_for_rank(_uniform, lead, self.n, device=self.loga.device)
        s = torch.sigmoid((u.log() - (-u).log1p() + self.loga) / TEMPERATURE)
        return (s * (HIGH - LOW) + LOW).clamp(0, 1)

    def expected(self) -> Tensor:
        """P(z > 0), `(n,)`."""
        return open_probability(self.loga)

    def keep(self, threshold: float, groups: Sequence[int]) -> Tensor:
        """In each group as many units as are expected to be open, those with the largest log alpha."""
        loga, kept = self.loga.detach(), []
        for part in loga.split(list(groups)):
            zeros = round(len(part) - float(open_probability(part - threshold).sum()))
            mask = torch.ones(len(part), dtype=torch.bool, device=part.device)
            mask[part.argsort(stable=True)[:zeros]] = False
            kept.append(mask)
        return torch.cat(kept) if kept else torch.ones(0, dtype=torch.bool, device=loga.device)

    def fold(self) -> Tensor:
        """The fractional value that kept units have at evaluation."""
        return torch.sigmoid(self.loga / TEMPERATURE * SHARPNESS)

    def log_odds(self) -> Tensor:
        """log alpha, detached."""
        return self.loga.detach()

    def shut(self, which: Tensor) -> dict[str, Tensor]:
        """log alpha at its lower bound."""
        return {"loga": self.log_odds().masked_fill(which, -BOUND)}

    @torch.no_grad()
    def clamp_(self) -> None:
        """Bound log alpha to +-log 100."""
        self.loga.clamp_(-BOUND, BOUND)


def open_probability(loga: Tensor) -> Tensor:
    """P(z > 0) of a hard-concrete gate."""
    ratio = torch.tensor(-LOW / HIGH).log()
    return torch.sigmoid(loga - TEMPERATURE * ratio.to(loga.device))
