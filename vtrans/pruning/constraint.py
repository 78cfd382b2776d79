"""Lagrangian constraint on a model's expected size."""

import torch
from torch import Tensor, nn

from vtrans.pruning.gates import GateSet
from vtrans.pruning.size import Size, removed
from vtrans.settings import Budget, Constraint

MET = 0.02  # of sparsity: a gap that counts as met


class Lagrangian(nn.Module):
    """l1 (s - t) + l2 (s - t)^2 with Lagrange multipliers that ascend (CoFi section 3; TVA section 2.3).

    The equality constraint leaves l1 free in sign: it is negative while the model is too large.

    Attributes:
        sharpness: share of the way from a soft to a sharp count of kept units that is gone where that waits for the
            target, `Constraint.sharpen`.
    """

    def __init__(self, settings: Constraint) -> None:
        super().__init__()
        self.settings = settings
        self.linear = nn.Parameter(torch.zeros(()))
        self.quadratic = nn.Parameter(torch.tensor(settings.quadratic))
        self.sharpness = nn.Parameter(torch.zeros(()))  # without a gradient; a parameter, so that checkpoints hold it

    def forward(self, sparsity: Tensor, target: float) -> Tensor:
        """The constraint's term of the loss, 0-d."""
        gap = sparsity - target
        return self.linear * gap + self.quadratic * gap**2

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam that ascends."""
        return torch.optim.Adam(self.parameters(), lr=self.settings.rate, maximize=True)

    def progress(self, step: int, total: int) -> float:
        """How sharp the count of kept units is at `step`, from 0 to 1."""
        return step / total if self.settings.sharpen == "steps" else self.sharpness.item()

    @torch.no_grad()
    def sharpen_(self, gap: float, total: int) -> None:
        """Take note of a step at the full target whose expected sparsity is short of it by `gap`."""
        if gap <= MET:
            self.sharpness.add_(1 / max(1, total - ramp_steps(total, self.settings.warmup))).clamp_(max=1)

    @torch.no_grad()
    def clamp_(self) -> None:
        """Keep the Lagrange multipliers within their bound."""
        if self.settings.bound:
            self.linear.clamp_(-self.settings.bound, self.settings.bound)
            self.quadratic.clamp_(-self.settings.bound, self.settings.bound)


def push_by_size(gates: GateSet, budget: Budget, size: Size, exponent: float) -> dict[str, float]:
    """Factor by which the constraint's gradient at each site is to be multiplied; see `Constraint.size_exponent`.

    The cost of a unit is the share of the budget's quantity that goes with its whole site, divided by the site's number
    of units; units of sub-layers that are gone do not count. The factor is 1 at the site whose units cost least.
    """
    there = {site: torch.ones(gates[site].n, device=gates.device) for site in gates}
    owned = {}
    for site, ones in there.items():
        share = removed(budget, size, gates.counts(there | {site: 0 * ones})).item()
        if share > 0:
            owned[site] = share / gates.alive(site)
    least = min(owned.values(), default=1.0)
    return {site: (least / own) ** (1 - exponent) for site, own in owned.items()}


def ramp(step: int, total: int, sparsity: float, warmup: float, origin: float = 0.0) -> float:
    """Target of the expected sparsity at `step`: linear from `origin` over the share `warmup` of `total` steps."""
    risen = min(1.0, (step + 1) / ramp_steps(total, warmup))
    return origin * (1 - risen) + sparsity * risen


def ramp_steps(total: int, warmup: float) -> int:
    """Number of steps over which the target rises, at least 1."""
    return max(1, round(warmup * total))
