"""Configs of models that drop tokens. This is imported while transformers is, of which it may import nothing.

Their `model_type` is not the family's, so that transformers alone does not take the files for those of a dense model.
"""

from functools import cache
from importlib import import_module
from typing import Any

DROPPING = "-dropping-tokens"  # end of the `model_type` of a family's models that drop tokens
FAMILIES = ("bert", "roberta")
NAMED = "TokenDropping"  # start of the names of these classes
FIELD = "token_selector"  # of the config: the selector's kind and settings


@cache
def config_class(stock: Any) -> Any:
    """The config of a family's models that drop tokens, from that of its stock models.

    One that is read registers the model classes: transformers imports its auto classes and the families' configs from
    each other, so that nothing can be registered with both while they are imported.
    """

    def from_dict(cls: Any, *args: Any, **kwargs: Any) -> Any:
        register_models()
        return stock.from_dict.__func__(cls, *args, **kwargs)

    fields = {"model_type": stock.model_type + DROPPING, FIELD: None, "from_dict": classmethod(from_dict)}
    return type(NAMED + stock.__name__, (stock,), fields)


def install(module: Any) -> None:
    """Register the configs with `AutoConfig`; `module` is `transformers.models.auto.configuration_auto`."""
    for family in FAMILIES:
        config = config_class(module.CONFIG_MAPPING[family])
        module.AutoConfig.register(config.model_type, config)


@cache
def register_models() -> None:
    """Register the model classes with transformers' auto classes, once."""
    import_module("vtrans.tokens.model").install(import_module("transformers.models.auto.modeling_auto"))
