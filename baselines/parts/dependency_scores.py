"""Importance of a model's units by the library Torch-Pruning, along the dependency graph that it traces."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from vtrans.anatomy import anatomy_of
from vtrans.data.examples import inputs_of
from vtrans.errors import SuiteError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vtrans.anatomy import Anatomy
    from vtrans.data.examples import Rows

Importance = Literal["taylor", "magnitude"]


@dataclass(frozen=True)
class UnitScores:
    """Scores, the higher the more a unit matters, on the CPU.

    Attributes:
        hidden: `(hidden,)`.
        heads, ffn: `(units,)` of each layer.
    """

    hidden: Tensor
    heads: tuple[Tensor, ...]
    ffn: tuple[Tensor, ...]


def accumulate_gradients(model: nn.Module, rows: "Rows", batches: "Iterable[list[int]]") -> None:
    """Leave the sum of the task loss's gradients over some rows in `.grad`, in evaluation mode."""
    device = next(model.parameters()).device
    model.eval().requires_grad_(True)
    model.zero_grad()
    for batch in batches:
        inputs = {name: value.to(device) for name, value in rows.batch(batch).items()}
        (model(**inputs_of(inputs)).loss.float() * len(batch)).backward()


def dependency_scores(model: nn.Module, example: dict[str, Tensor], importance: Importance) -> UnitScores:
    """Scores of the groups of parameters that go with a hidden unit, a head and an FFN unit.

    Args:
        model: an encoder with one projection each for queries, keys and values; gradients in `.grad` for `taylor`.
        example: inputs that the graph is traced with, without labels.
        importance: the library's `GroupTaylorImportance` or `GroupMagnitudeImportance`, as it is by default. A head's
            score is the mean of its columns', as in the library's own pruner.

    Raises:
        SuiteError: the model is a decoder, or its projections are fused.
    """
    import torch_pruning as tp

    anatomy = anatomy_of(model)
    if any(block.fused or block.group > 1 or block.up_parts > 1 for block in anatomy.blocks):
        raise SuiteError(
            f"Torch-Pruning's rows are for encoders with plain projections, not for {type(model).__name__}",
            "use random, magnitude or Fisher",
        )
    score = {"taylor": tp.importance.GroupTaylorImportance, "magnitude": tp.importance.GroupMagnitudeImportance}
    model.eval().requires_grad_(True)  # the graph is read off what autograd notes
    graph = tp.DependencyGraph().build_dependency(
        model, example_inputs=example, output_transform=lambda found: found.logits.sum()
    )
    leads, found = _leads(model, anatomy), dict[str, Tensor]()
    for group in graph.get_all_groups(root_module_types=[nn.Linear]):
        name = _name_of(group, leads)
        if name and name not in found:
            found[name] = _in_order(group, leads, score[importance]()(group).detach().float().cpu())
    return _by_layer(found, anatomy)


def _leads(model: nn.Module, anatomy: "Anatomy") -> dict[nn.Module, str]:
    """The modules whose input columns are the units of a site, and its name: `heads 0` for one."""
    leads: dict[nn.Module, str] = {}
    for layer, block in enumerate(anatomy.blocks):
        if block.heads:
            leads[model.get_submodule(block.out)] = f"heads {layer}"
        if block.ffn:
            leads[model.get_submodule(block.down)] = f"ffn {layer}"
            leads[model.get_submodule(block.up[0])] = "hidden"
    return leads


def _name_of(group: Any, leads: dict[nn.Module, str]) -> str:
    return next((leads[each.target.module] for each, _ in group if _leads_in(each, leads)), "")


def _leads_in(dependency: Any, leads: dict[nn.Module, str]) -> bool:
    return dependency.target.module in leads and dependency.handler.__name__ == "prune_in_channels"


def _in_order(group: Any, leads: dict[nn.Module, str], scores: Tensor) -> Tensor:
    """Scores in the order of the input columns, which may be another one than that of the group's root."""
    columns = next(columns for each, columns in group if _leads_in(each, leads))
    return scores[torch.tensor(columns).argsort()]


def _by_layer(found: dict[str, Tensor], anatomy: "Anatomy") -> UnitScores:
    def of(site: str, counts: Sequence[int]) -> tuple[Tensor, ...]:
        """Scores of a site, those of a unit's columns averaged."""
        return tuple(
            found[f"{site} {layer}"].view(units, -1).mean(1) if units else torch.zeros(0)
            for layer, units in enumerate(counts)
        )

    return UnitScores(found["hidden"], of("heads", anatomy.heads), of("ffn", anatomy.ffn))
