"""Let stock classes build pruned models: dense ones of the stock shape first, cut to the config's widths at the end.

After `import vtrans`, `from_pretrained` of every stock class reads what `save_pruned` or `save_pretrained` wrote. There
models are built on the meta device, so that the stock shape costs nothing.
"""

from functools import wraps
from typing import Any

import torch
from torch import nn

from vtrans.anatomy import Widths, anatomy_of, family_of, head_size, is_pruned
from vtrans.anatomy.widths import UNPRUNED
from vtrans.pruning.surgery import (
    cut_attention_inputs,
    cut_embedding,
    cut_ffn_inputs,
    cut_linear,
    cut_norm,
    replace_skipped,
    retie,
    untied_output_linears,
)

_BUILT = "_vtrans_built"  # on a model while it is built: its widths, and the config's own values


def install(module: Any) -> None:
    """Teach transformers' base class to build pruned models; `module` is `transformers.modeling_utils`."""
    stock = module.PreTrainedModel
    init, post_init = stock.__init__, stock.post_init

    @wraps(init)
    def building(self: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        """Begin with a config of the stock shape."""
        if is_pruned(config):
            self.__dict__[_BUILT] = Widths.read(config), to_stock(config)
        init(self, config, *args, **kwargs)

    @wraps(post_init)
    def built(self: Any) -> None:
        """Cut what was built; models inside of it, which come first, are left to the outermost one."""
        if _BUILT in self.__dict__:
            widths, own = self.__dict__.pop(_BUILT)
            resize(self, widths)
            restore(self.config, own)
        post_init(self)

    stock.__init__, stock.post_init = building, built


def install_llama(module: Any) -> None:
    """Let LLaMA's config be pruned; `module` is `transformers.models.llama.configuration_llama`.

    Its own check wants one number of heads, a divisor of the hidden width, where its layers only need `head_dim`.
    """
    validators = module.LlamaConfig.__class_validators__
    for place, check in enumerate(validators):
        if check.__qualname__ == "LlamaConfig.validate_architecture":
            validators[place] = _unless_pruned(check)


def _unless_pruned(check: Any) -> Any:
    @wraps(check)
    def checked(config: Any) -> None:
        if not is_pruned(config):
            check(config)

    return checked


def to_stock(config: Any) -> dict[str, Any]:
    """Give a pruned model's config values that a stock model can be built and cut from; returns its own ones."""
    fields, widths, size = family_of(config).fields, Widths.read(config), head_size(config)
    layers = list(config.per_layer_config)
    names = ["_heterogeneity_spec", fields.hidden, fields.heads, fields.ffn, *filter(None, [fields.groups])]
    own = {name: vars(config)[name] for name in names}
    config.per_layer_config = None
    hidden, heads = getattr(config, UNPRUNED, widths.hidden), max(1, *widths.heads)
    group = max(getattr(c, fields.heads) // getattr(c, fields.groups) for c in layers) if fields.groups else 1
    if not fields.own_head_size:
        heads = hidden // size
    values = {fields.hidden: hidden, fields.heads: heads * group, fields.ffn: max(1, *widths.ffn)}
    for name, value in (values | ({fields.groups: heads} if fields.groups else {})).items():
        setattr(config, name, value)
    return own


def restore(config: Any, own: dict[str, Any]) -> None:
    """Give a config the values back that `to_stock` took."""
    vars(config).update(own)


def resize(model: nn.Module, widths: Widths) -> None:
    """Give a dense model, on any device, the widths of a pruned one; the weights are left to be loaded.

    Raises:
        ValueError: a width is larger than the model's.
    """
    anatomy = anatomy_of(model)
    _check(Widths.of(model), widths)
    hidden = torch.arange(widths.hidden)
    for path in anatomy.embeddings:
        cut_embedding(model.get_submodule(path), hidden)
    for path in anatomy.norms:
        norm: Any = model.get_submodule(path)
        cut_norm(norm, hidden, torch.ones_like(norm.weight[: len(hidden)]))
    retie(model, anatomy)
    for path in anatomy.head_transforms:
        cut_linear(model.get_submodule(path), rows=hidden, columns=hidden)
    for path in untied_output_linears(anatomy):
        cut_linear(model.get_submodule(path), columns=hidden)
    for block, heads, ffn in zip(anatomy.blocks, widths.heads, widths.ffn, strict=True):
        if heads == 0:
            replace_skipped(model, block.attention_skip)
        else:
            width = heads * anatomy.head_size
            queries = torch.arange(width * block.group)
            cut_attention_inputs(model, block, queries, torch.arange(width), hidden)
            cut_linear(model.get_submodule(block.out), rows=hidden, columns=queries)
        if ffn == 0:
            replace_skipped(model, block.ffn_skip)
        else:
            units = torch.arange(ffn)
            cut_ffn_inputs(model, block, units, hidden)
            cut_linear(model.get_submodule(block.down), rows=hidden, columns=units)


def _check(dense: Widths, widths: Widths) -> None:
    pairs = [(dense.hidden, widths.hidden), *zip(dense.heads + dense.ffn, widths.heads + widths.ffn, strict=True)]
    if any(new > old for old, new in pairs):
        raise ValueError("a width in config.json is larger than the dense model's")
