"""What a config says of a pruned model's widths, in transformers' own form: `per_layer_config`.

Heads, groups of keys and values, and FFN units stand in `per_layer_config` where layers differ. Sub-layers that are
gone stand under its `skip`. The hidden width is one for all. A version of transformers that does not build such layers
refuses the config, because it finds no single value for all layers.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

from torch import nn

from vtrans.anatomy.base import Fields, anatomy_of, families, family_name, family_of
from vtrans.dropping import MODEL_TYPE_SUFFIX

ATTENTION, FFN = "attention", "mlp"  # transformers' names for sub-layers that are skipped
UNPRUNED = "unpruned_hidden_size"


@dataclass(frozen=True)
class Widths:
    """Units that a model has.

    Attributes:
        hidden: of the residual stream.
        heads, ffn: of each layer, 0 where the sub-layer is gone; heads are key-value heads where queries share them.
    """

    hidden: int
    heads: tuple[int, ...]
    ffn: tuple[int, ...]

    @classmethod
    def of(cls, model: nn.Module) -> "Widths":
        """Those of a model, dense or pruned."""
        anatomy = anatomy_of(model)
        return cls(anatomy.hidden, anatomy.heads, anatomy.ffn)

    @classmethod
    def read(cls, config: Any) -> "Widths":
        """Those that a config says."""
        fields = family_of(config).fields
        hidden = getattr(config, fields.hidden)
        layers = [(each, set(getattr(each, "skip", ()))) for each in config.per_layer_config]
        heads = [0 if ATTENTION in gone else _groups(each, fields) for each, gone in layers]
        ffn = [0 if FFN in gone else getattr(each, fields.ffn) or 4 * hidden for each, gone in layers]
        return cls(hidden, tuple(heads), tuple(ffn))

    def to_json(self) -> dict[str, Any]:
        """As records keep them."""
        return {"hidden": self.hidden, "heads": list(self.heads), "ffn": list(self.ffn)}


def _groups(config: Any, fields: Fields) -> int:
    return int(getattr(config, fields.groups or fields.heads) or getattr(config, fields.heads))


def is_pruned(config: Any) -> bool:
    """Whether a config of a known family says that stock layers are not to be built as they are."""
    return bool(getattr(config, "is_heterogeneous", False)) and family_name(config) in families()


def write_widths(model: nn.Module) -> None:
    """Write a model's widths into its config, in place.

    Where a stock model has such widths (all layers alike, no sub-layer gone, the default head size), the config stays
    a stock config; else the widths go into `per_layer_config`.
    """
    anatomy, widths, config = anatomy_of(model), Widths.of(model), cast("Any", model.config)
    fields = family_of(config).fields
    drops = config.model_type.endswith(MODEL_TYPE_SUFFIX)
    if not drops and Widths.read(config) == widths:
        return
    config.per_layer_config = None
    if widths.hidden != getattr(config, fields.hidden) and not fields.own_head_size:
        setattr(config, UNPRUNED, getattr(config, UNPRUNED, getattr(config, fields.hidden)))
    heads, ffn = (Counter(filter(None, each)).most_common(1) for each in (widths.heads, widths.ffn))
    common = (heads[0][0] if heads else 1, ffn[0][0] if ffn else 1)
    group = max(block.group for block in anatomy.blocks)  # a layer without attention does not tell
    for name, value in ({fields.hidden: widths.hidden} | _units(fields, *common, group)).items():
        setattr(config, name, value)
    same = set(zip(widths.heads, widths.ffn, strict=True)) == {common}
    if fields.own_head_size:
        whole = widths.hidden % (common[0] * group) == 0  # the layers do not need it, but LLaMA's config asks for it
    else:
        whole = common[0] * anatomy.head_size == widths.hidden and not hasattr(config, UNPRUNED)
    if same and whole and not drops:
        return
    config.head_dim = anatomy.head_size
    layers = {i: _layer(fields, *pair, group) for i, pair in enumerate(zip(widths.heads, widths.ffn, strict=True))}
    config.per_layer_config = layers
    if not config.per_layer_attributes:  # nothing in it would stop a stock model
        setattr(config, fields.ffn, 0)
        config.per_layer_config = layers


def _units(fields: Fields, heads: int, ffn: int, group: int) -> dict[str, int]:
    return {fields.heads: heads * group, fields.ffn: ffn} | ({fields.groups: heads} if fields.groups else {})


def _layer(fields: Fields, heads: int, ffn: int, group: int) -> dict[str, Any]:
    """A layer's own values; of a sub-layer that is gone the least width that one could have."""
    skip = [name for name, units in ((ATTENTION, heads), (FFN, ffn)) if not units]
    return _units(fields, max(1, heads), max(1, ffn), group) | ({"skip": skip} if skip else {})
