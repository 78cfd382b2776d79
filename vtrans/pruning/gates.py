"""Gates: random masks whose distribution says which units of a model can be pruned.

The variational gate is the VIB mask of VTrans: `z = mu + sigma * eps`, kept where mu^2 > sigma^2, with
the closed-form information cost `KL = 1/2 log(1 + mu^2 / sigma^2)` per unit (VIBNet; TVA-prune eq. 1-2).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vtrans import ranks
from vtrans.anatomy import Anatomy
from vtrans.pruning.counts import Counts
from vtrans.pruning.masks import Masks
from vtrans.settings import SITES, check_sites


class Gate(nn.Module, ABC):
    """A vector of `n` gates.

    Distributions define `sample`, `expected`, `keep`, `fold` and `log_odds`; the other methods are optional.
    """

    n: int

    @abstractmethod
    def sample(self, *lead: int) -> Tensor:
        """Draw masks, `(*lead, n)`, differentiable in the gate's parameters."""

    @abstractmethod
    def expected(self) -> Tensor:
        """Differentiable probability that each unit is kept, `(n,)`."""

    @abstractmethod
    def keep(self, threshold: float, groups: Sequence[int]) -> Tensor:
        """Hard decision, bool `(n,)`. A higher `threshold` (in log-odds) keeps fewer units.

        `groups` are the lengths of the runs of units that belong to one layer; they sum to `n`.
        """

    @abstractmethod
    def fold(self) -> Tensor:
        """What a kept unit is multiplied by for good, `(n,)`, differentiable."""

    @abstractmethod
    def log_odds(self) -> Tensor:
        """Detached log-odds of being kept, `(n,)`: the order in which units go."""

    def penalty(self) -> Tensor:
        """Information cost in nats, summed over units; 0 for gates without one."""
        return torch.zeros((), device=next(self.parameters()).device)

    def shut(self, which: Tensor) -> dict[str, Tensor]:
        """New values of the gate's parameters, by name, with the given units, bool `(n,)`, closed as far as it goes."""
        raise NotImplementedError

    def anneal(self, progress: float) -> None:
        """Called before each step with the progress of pruning in [0, 1], for gates that harden as it goes on."""

    def clamp_(self) -> None:
        """Bring the parameters back into their bounds after an optimiser step."""


class VariationalGate(Gate):
    """VIB gate `z ~ N(mu, sigma^2)` in the coordinates `log_alpha = log(mu^2/sigma^2)` and `scale`.

    With `p = sigmoid(log_alpha)`, mu = scale * p and sigma = scale * sqrt(p (1 - p)): any N(mu, sigma^2)
    with mu > 0 is one such pair, so family, KL and rule (keep where log_alpha > 0) are VIBNet's. What
    changes is descent. A Lagrangian that pushes on (mu, log sigma^2) shrinks mu, and log_alpha then falls
    without bound; here it moves log_alpha alone. A unit on its way out fades (mean and noise go to 0
    together), and p is the keep probability of the Bernoulli gate with the same mean and variance.

    Args:
        n: number of units.
        log_alpha: start value. VIBNet starts at 9, where the gradient of p is nearly 0.
        floor: lower bound of log_alpha, so that a unit can come back.
        jitter: standard deviation of the start values (VIBNet: 0.01).
        sharpness: b in the soft count `sigmoid(b log_alpha)` at the end of pruning, 1 at its start. Gaussian
            noise, unlike binary, does not drive p to 0 or 1; a sharp count does (TVA-prune: 10 throughout).
        soft_slope: whether gradients to the count are those of b = 1, straight through. A sharp count has next to
            none at gates that have not begun to close.
    """

    def __init__(
        self,
        n: int,
        log_alpha: float = 3.0,
        floor: float = -5.0,
        jitter: float = 0.01,
        sharpness: float = 1.0,
        soft_slope: bool = False,
    ) -> None:
        super().__init__()
        self.n, self.floor, self.sharpness, self.soft_slope, self._b = n, floor, sharpness, soft_slope, 1.0
        start = log_alpha + jitter * torch.randn(n)
        self.log_alpha = nn.Parameter(start)
        self.scale = nn.Parameter(1 / torch.sigmoid(start))

    @property
    def mean(self) -> Tensor:
        """mu, `(n,)`."""
        return self.scale * torch.sigmoid(self.log_alpha)

    @property
    def deviation(self) -> Tensor:
        """sigma, `(n,)`."""
        return self.scale * (torch.sigmoid(self.log_alpha) * torch.sigmoid(-self.log_alpha)).sqrt()

    def sample(self, *lead: int) -> Tensor:
        """Draw `mu + sigma * eps`, `(*lead, n)`."""
        noise = ranks.sample_for_rank(torch.randn, lead, self.n, device=self.scale.device)
        return self.mean + self.deviation * noise

    def expected(self) -> Tensor:
        """Soft count `sigmoid(b log_alpha)`, `(n,)`: the keep probability where b is 1."""
        counted = torch.sigmoid(self._b * self.log_alpha)
        if not self.soft_slope:
            return counted
        soft = torch.sigmoid(self.log_alpha)
        return soft + (counted - soft).detach()

    def anneal(self, progress: float) -> None:
        """Raise b linearly from 1 to `sharpness`."""
        self._b = 1 + (self.sharpness - 1) * progress

    def keep(self, threshold: float, groups: Sequence[int]) -> Tensor:
        """Keep where `log_alpha > threshold` (TVA-prune eq. 5); groups play no part."""
        return self.log_alpha.detach() > threshold

    def fold(self) -> Tensor:
        """mu, which carries the trained scale of a kept unit into the weights."""
        return self.mean

    def log_odds(self) -> Tensor:
        """log_alpha, detached."""
        return self.log_alpha.detach()

    def shut(self, which: Tensor) -> dict[str, Tensor]:
        """log_alpha at its floor."""
        return {"log_alpha": self.log_odds().masked_fill(which, self.floor), "scale": self.scale.detach()}

    def penalty(self) -> Tensor:
        """KL to the optimal zero-mean Gaussian prior, `sum 1/2 log(1 + mu^2/sigma^2)`, in nats."""
        return 0.5 * nn.functional.softplus(self.log_alpha).sum()

    @torch.no_grad()
    def clamp_(self) -> None:
        """Bound log_alpha from below and keep the scale positive."""
        self.log_alpha.clamp_(min=self.floor)
        self.scale.clamp_(min=1e-3)


class GateSet(nn.Module):
    """One gate vector per site, laid over a model's anatomy.

    Args:
        anatomy: parts of the model; layers may differ in their number of units.
        make: builds the gate of a site from the site's name and its number of units.
        sites: the gated sites; the other ones stay open. Names as in `SITES`.

    Attributes:
        push: factors on the gradient of the expected counts, by site; without one, 1.
    """

    def __init__(self, anatomy: Anatomy, make: Callable[[str, int], Gate], sites: Sequence[str] = SITES) -> None:
        super().__init__()
        check_sites(sites)
        self.groups, self.push = _groups(anatomy), dict[str, float]()
        self.gates = nn.ModuleDict({site: make(site, sum(self.groups[site])) for site in SITES if site in sites})

    def __getitem__(self, site: str) -> Gate:
        """The gate vector of `site`."""
        return self.gates[site]  # type: ignore[return-value]

    def __iter__(self) -> Iterator[str]:
        """Names of the gated sites."""
        return iter(self.gates)

    @property
    def device(self) -> torch.device:
        """Where the gates live."""
        return next(self.parameters()).device

    def sample(self, *lead: int) -> Masks:
        """Draw all sites. `lead` are the leading dimensions of the noise: none, `(batch, 1)` or `(batch, length)`.

        The hidden gate is drawn once per step and without them, so that it folds into the norms for free.
        """
        drawn = {s: self[s].sample(*(() if s == "hidden" else lead)) for s in self}
        return self._assemble(drawn, self._survivors())

    def _survivors(self) -> Tensor | None:
        if "hidden" not in self.gates:
            return None
        keep = {"hidden": self["hidden"].keep(0.0, self.groups["hidden"])}
        self._save_last_hidden(keep)
        return keep["hidden"]

    def decide(self, threshold: float = 0.0, coarse: float | None = None) -> Masks:
        """Hard decision at `threshold`, kept units at their folded value; differentiable in the latter.

        Hidden units and sub-layers are decided at `coarse`, where it is given.
        """
        at = {s: threshold if coarse is None or s in ("heads", "ffn") else coarse for s in self}
        keep = {s: self[s].keep(at[s], self.groups[s]) for s in self}
        self._save_last(keep)
        return self.fixed(keep)

    def fixed(self, keep: dict[str, Tensor]) -> Masks:
        """Masks of a decision already made: folded values where `keep`, 0 elsewhere."""
        return self._assemble({s: self[s].fold() * keep[s] for s in self}, None)

    def kept_by(self, decision: Masks) -> dict[str, Tensor]:
        """The keep masks, bool `(n,)` per site, that a decision over the same units stands for."""
        parts = {site: getattr(decision, site) for site in self}
        parts["hidden"] = (decision.hidden,)
        return {s: torch.cat([z.detach().reshape(-1) for z in parts[s]]) != 0 for s in self}

    def surviving(self, decision: Masks) -> dict[str, Tensor]:
        """Parameters of the gates of what a decision over the same units keeps, by their names in `gates`.

        Sub-layers keep their gates whatever becomes of them: those that are gone are shut as far as a gate can be.
        """
        keep, found = self.kept_by(decision), dict[str, Tensor]()
        alive = {"heads": decision.attention_alive, "ffn": decision.ffn_alive}
        for site in self:
            if site.endswith("_layer"):
                gone = ~torch.tensor(alive["heads" if site == "attention_layer" else "ffn"])
                found |= {f"{site}.{n}": t for n, t in self[site].shut(gone.to(self.device)).items()}
                continue
            if site in alive:
                units = torch.tensor(self.groups[site])
                keep[site] = keep[site] & torch.tensor(alive[site]).repeat_interleave(units).to(self.device)
            found |= {f"{site}.{name}": p.detach()[keep[site]] for name, p in self[site].named_parameters()}
        return found

    def expected(self) -> Counts:
        """Differentiable expected number of units; gradients to a site are multiplied by its `push`."""
        p = {s: self[s].expected() for s in self}
        return self.counts({s: torch.lerp(v.detach(), v, self.push[s]) if s in self.push else v for s, v in p.items()})

    def counts(self, p: dict[str, Tensor]) -> Counts:
        """Expected counts, from the probability `p[site]` `(n,)` that each unit is kept.

        Heads and FFN units are multiplied by the probability of their sub-layer.
        """
        layers = len(self.groups["heads"])
        heads, ffn = (self._layer_sums(p, s) for s in ("heads", "ffn"))
        ones = torch.ones(layers, device=self.device)
        attention, ffn_layer = p.get("attention_layer", ones), p.get("ffn_layer", ones)
        hidden = p["hidden"].sum() if "hidden" in p else ones.new_tensor(float(self.groups["hidden"][0]))
        return Counts(hidden, heads * attention, ffn * ffn_layer, attention, ffn_layer)

    def alive(self, site: str) -> int:
        """Number of units of a site; sub-layers without a head or FFN unit left out."""
        if site.endswith("_layer"):
            return sum(n > 0 for n in self.groups["heads" if site == "attention_layer" else "ffn"])
        return self[site].n

    def penalty(self) -> dict[str, Tensor]:
        """Information cost of each site, in nats."""
        return {s: self[s].penalty() for s in self}

    def anneal(self, progress: float) -> None:
        """Pass the progress of pruning, in [0, 1], to all gates."""
        for site in self:
            self[site].anneal(progress)

    def clamp_(self) -> None:
        """Bring all gates back into their bounds."""
        for site in self:
            self[site].clamp_()

    def _layer_sums(self, p: dict[str, Tensor], site: str) -> Tensor:
        if site not in p:
            return torch.tensor(self.groups[site], dtype=torch.float32, device=self.device)
        return torch.stack([part.sum() for part in p[site].split(self.groups[site])])

    def _assemble(self, drawn: dict[str, Tensor], survivors: Tensor | None) -> Masks:
        split: dict[str, Any] = {}
        for site, groups in self.groups.items():
            z = drawn.get(site, torch.ones(sum(groups), device=self.device))
            split[site] = list(z.unbind(-1)) if site.endswith("_layer") else list(z.split(groups, dim=-1))
        split["hidden"] = split["hidden"][0]
        return Masks.of(**split, survivors=survivors)

    def _save_last_hidden(self, keep: dict[str, Tensor]) -> None:
        if "hidden" in keep and not keep["hidden"].any():
            keep["hidden"][self["hidden"].log_odds().argmax()] = True

    def _save_last(self, keep: dict[str, Tensor]) -> None:
        """Never let the last hidden unit, nor the last attention, go: without attention a token sees itself only."""
        self._save_last_hidden(keep)
        layers = len(self.groups["heads"])
        head_layer = torch.arange(layers).repeat_interleave(torch.tensor(self.groups["heads"]))
        heads = keep.get("heads", torch.ones(len(head_layer), dtype=torch.bool))
        layer = keep.get("attention_layer", torch.ones(layers, dtype=torch.bool))
        if len(head_layer) and not (heads & layer[head_layer]).any():
            odds = self["heads"].log_odds() if "heads" in keep else torch.zeros(len(head_layer))
            if "attention_layer" in keep:
                odds = odds + self["attention_layer"].log_odds()[head_layer]
            best = int(odds.argmax())
            heads[best], layer[head_layer[best]] = True, True


def _groups(anatomy: Anatomy) -> dict[str, list[int]]:
    layers = [1] * len(anatomy.blocks)
    return {
        "hidden": [anatomy.hidden],
        "heads": list(anatomy.heads),
        "ffn": list(anatomy.ffn),
        "attention_layer": layers,
        "ffn_layer": layers,
    }
