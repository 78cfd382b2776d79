"""The control for how units are chosen: random units, as many in each layer as a learnt method keeps."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from baselines.cofi import CoFi
from vtrans.methods.base import CompressionState, Stage
from vtrans.methods.vtrans import VTrans

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from vtrans.pruning.masks import Masks


@dataclass(frozen=True)
class Redraw(Stage):
    """Keep random units in place of those decided on, as many at each site of each layer, and the dense weights."""

    def run(self, state: CompressionState) -> None:
        """Replace `state.decision` and `state.model`; what training left in gates and weights is gone."""
        import torch

        assert state.decision is not None, "Redraw follows a decision"
        generator = torch.Generator().manual_seed(state.stage_seed)
        state.decision = redraw(state.decision, generator)
        state.model, state.gates, state.transform = state.teacher.copy(), None, None
        state.teacher.release()
        state.report["pruning"] |= {"kept": state.decision.kept(), "heads_kept": state.decision.heads_kept()}


def redraw(decision: "Masks", generator: "Generator") -> "Masks":
    """A decision for random units, as many as the given one keeps; sub-layers that are gone stay gone."""
    from vtrans.pruning.masks import Masks

    old = decision.opened()
    return Masks.of(
        _shuffled(old.hidden, generator),
        [_shuffled(units, generator) for units in old.heads],
        [_shuffled(units, generator) for units in old.ffn],
        old.attention_layer,
        old.ffn_layer,
    )


def _shuffled(units: "Tensor", generator: "Generator") -> "Tensor":
    import torch

    return units.detach().cpu()[torch.randperm(len(units), generator=generator)]


@dataclass(frozen=True)
class RandomVTransWidths(VTrans):
    """Random units in the widths that VTrans finds, cut from the dense model.

    What is left of a method's lead over random units of the same share in each layer, once layers have its widths, is
    due to which units it keeps, and to what its pruning has trained. That architectures may be worth more than the
    weights they inherit: Liu et al. 2019, "Rethinking the value of network pruning".
    """

    name = "random-VTrans-widths"
    summary = "random units, as many in each layer as VTrans keeps"

    def stages(self) -> tuple[Stage, ...]:
        """Prune as VTrans does for its widths, draw other units, materialise, recover."""
        return _drawn_anew(super().stages())


@dataclass(frozen=True)
class RandomCoFiWidths(CoFi):
    """Random units in the widths that CoFi finds, cut from the dense model; as `RandomVTransWidths`."""

    name = "random-CoFi-widths"
    summary = "random units, as many in each layer as CoFi keeps"

    def stages(self) -> tuple[Stage, ...]:
        """Prune as CoFi does for its widths, draw other units, materialise, recover."""
        return _drawn_anew(super().stages())


def _drawn_anew(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    pruning, *others = stages
    return (pruning, Redraw(), *others)
