"""Fisher: masks by Fisher information, without retraining (Kwon et al. 2022, NeurIPS)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from baselines.one_shot import check_reached
from vtrans.forecast import FROZEN, Forecast
from vtrans.methods.base import CompressionState, Method, Stage
from vtrans.methods.stages import Materialise, Recover
from vtrans.settings import Budget, Distillation, Schedule, Setting, check_range

if TYPE_CHECKING:
    from torch import Tensor

    from vtrans.pruning.masks import Masks
    from vtrans.pruning.size import Size


@dataclass(frozen=True)
class SearchMasks(Stage):
    """Keep the heads and FFN units with the most Fisher information that the budget allows, then rearrange layers.

    Every number of heads is tried, with as many FFN units as fit beside them; what keeps most information wins
    (section 4.1). The best unit of each sub-layer stays: without any, surgery takes the sub-layer's norm along, which
    no gradient of a mask foresees.

    Attributes:
        budget: size to reach.
        samples: training rows whose gradients are taken.
        rearrange: whether units of a layer are exchanged by what they do together (section 4.2).
    """

    budget: Budget
    samples: int = 2048
    rearrange: bool = True

    def __post_init__(self) -> None:
        check_range(self, "samples", 1)

    def run(self, state: CompressionState) -> None:
        """Set `state.decision`."""
        from baselines.parts.mask_gradients import ReportedBatches, draw_rows, mask_gradients, rearranged
        from vtrans.methods.stages import size_for
        from vtrans.pruning.counts import Counts
        from vtrans.pruning.masks import Masks
        from vtrans.pruning.size import removed

        batches = ReportedBatches(draw_rows(state.train, self.samples, state.stage_seed), state, self)
        size = size_for(state, self.budget)
        with batches.metered():
            found = mask_gradients(state.model, state.train, batches)
        decision = search(self.budget, size, *found.importance)
        if self.rearrange:
            heads, ffn = (
                [rearranged(keep != 0, grads).float() for keep, grads in zip(site, gradients, strict=True)]
                for site, gradients in ((decision.heads, found.heads), (decision.ffn, found.ffn))
            )
            layers = decision.attention_layer
            decision = Masks.of(decision.hidden, heads, ffn, layers, layers)
        check_reached(self.budget, float(removed(self.budget, size, Counts.of(decision))))
        state.decision = decision
        state.report["pruning"] = {"kept": decision.kept(), "heads_kept": decision.heads_kept()}

    def forecast(self, outlook: Forecast) -> float:
        """Forward passes over the samples, and backward passes to the masks: no weight gets a gradient."""
        outlook.decide(self.budget)
        return FROZEN * min(self.samples, outlook.rows)


@dataclass(frozen=True)
class TuneMasks(Stage):
    """Scale kept units so that each sub-layer gives the dense one's output again, by least squares (section 4.3).

    The paper reconstructs a layer's output with its residual connection; here it is the sub-layer's own.
    """

    samples: int = 512

    def __post_init__(self) -> None:
        check_range(self, "samples", 1)

    def run(self, state: CompressionState) -> None:
        """Give `state.decision` its scales."""
        from baselines.parts.mask_gradients import ReportedBatches, draw_rows
        from baselines.parts.reconstruction import tuned

        assert state.decision is not None, "TuneMasks follows a decision"
        batches = ReportedBatches(draw_rows(state.train, self.samples, state.stage_seed), state, self)
        state.model.eval()
        with batches.metered():
            state.decision, count = tuned(state.model, state.train, batches, state.decision)
        state.report["pruning"]["tuned_sublayers"] = count

    def forecast(self, outlook: Forecast) -> float:
        """A forward pass, and each layer six times: dense and pruned, for two sub-layers and for the layer after."""
        return 7.0 * min(self.samples, outlook.rows)


@dataclass(frozen=True)
class Fisher(Method):
    """Search, rearrangement and mask tuning on a few thousand rows; no weight is trained."""

    name = "Fisher"
    summary = "masks by Fisher information, tuned by least squares, without retraining"
    sized = True

    budget: Budget
    search: SearchMasks
    tune: TuneMasks = TuneMasks()

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """As published, its budget in parameters or MACs."""
        return cls(setting.budget, SearchMasks(setting.budget))

    def target(self) -> Budget:
        """The budget."""
        return self.budget

    def stages(self) -> tuple[Stage, ...]:
        """Search, tune, materialise."""
        return (self.search, self.tune, Materialise())


@dataclass(frozen=True)
class FisherRecovered(Fisher):
    """The same, then recovery as of all other methods."""

    name = "Fisher-recovered"
    summary = "masks by Fisher information, then recovery as of other methods"

    recover: Schedule = Schedule()
    distillation: Distillation = Distillation()

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """With the setting's recovery."""
        return cls(setting.budget, SearchMasks(setting.budget), recover=setting.schedules.recover)

    def stages(self) -> tuple[Stage, ...]:
        """Search, tune, materialise, recover."""
        return (*super().stages(), Recover(self.recover, self.distillation))


def search(budget: Budget, size: "Size", heads: list["Tensor"], ffn: list["Tensor"]) -> "Masks":
    """The heads and FFN units that keep most information at a budget's size.

    Args:
        budget: the size.
        size: of the dense model.
        heads, ffn: importance of the units of each layer, `(units,)`; the best of each layer stays.
    """
    from vtrans.pruning.calibration import search_count
    from vtrans.pruning.counts import Counts
    from vtrans.pruning.size import removed

    total = sum(map(len, ffn))
    order = [_order(heads), _order(ffn)]
    least = sum(len(each) > 0 for each in heads), sum(len(each) > 0 for each in ffn)
    best, most = None, -1.0
    for count in range(least[0], sum(map(len, heads)) + 1):

        def real(gone: int, count: int = count) -> float:
            """Sparsity with so many FFN units gone."""
            return float(removed(budget, size, Counts.of(chosen(size, (heads, ffn), order, (count, total - gone)))))

        gone = search_count(real, budget.sparsity, total - least[1])
        if abs(real(gone) - budget.sparsity) > 0.01:
            continue
        masks = chosen(size, (heads, ffn), order, (count, total - gone))
        kept = sum(float(i[m != 0].sum()) for i, m in zip([*heads, *ffn], [*masks.heads, *masks.ffn], strict=True))
        if kept > most:
            best, most = masks, kept
    return best if best is not None else chosen(size, (heads, ffn), order, least)


def _order(scores: list["Tensor"]) -> "Tensor":
    """Units of all layers, the best of each layer first, then by their importance."""
    import torch

    raised = [s.clone() for s in scores]
    for each in raised:
        if len(each):
            each[each.argmax()] = float("inf")
    return torch.cat(raised).argsort(descending=True, stable=True)


def chosen(
    size: "Size", scores: tuple[list["Tensor"], list["Tensor"]], order: list["Tensor"], counts: tuple[int, int]
) -> "Masks":
    """Masks of the first so many heads and FFN units in their order."""
    import torch

    from vtrans.pruning.masks import Masks

    def first(site: int) -> "tuple[Tensor, ...]":
        """Masks of a site, layer by layer."""
        flat = torch.zeros(len(order[site]))
        flat[order[site][: counts[site]]] = 1.0
        return tuple(flat.split([len(layer) for layer in scores[site]]))

    ones = [torch.ones(())] * len(scores[0])
    return Masks.of(torch.ones(int(size.dense.hidden)), first(0), first(1), ones, ones)
