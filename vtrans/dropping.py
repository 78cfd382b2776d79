"""Configs of models that drop tokens. This is imported while transformers is, of which it may import nothing.

Their `model_type` is not the family's, so that transformers alone does not take the files for those of a dense model.
"""

from functools import cache, wraps
from importlib import import_module
from typing import Any

MODEL_TYPE_SUFFIX = "-dropping-tokens"  # end of the `model_type` of a family's models that drop tokens
FAMILIES = ("bert", "roberta")
CLASS_PREFIX = "TokenDropping"  # start of the names of these classes
CONFIG_FIELD = "token_selector"  # of the config: the selector's kind and settings


@cache
def config_class(stock: Any) -> Any:
    """The config of a family's models that drop tokens, from that of its stock models."""
    return type(
        CLASS_PREFIX + stock.__name__,
        (stock,),
        {"model_type": stock.model_type + MODEL_TYPE_SUFFIX, CONFIG_FIELD: None},
    )


def install(module: Any) -> None:
    """Have `AutoConfig` register the classes before it reads a config.

    transformers imports its auto classes and the configs of families from each other, so that nothing can be registered
    while they are imported.

    Args:
        module: `transformers.models.auto.configuration_auto`.
    """
    stock = module.AutoConfig.from_pretrained.__func__

    @wraps(stock)
    def from_pretrained(cls: Any, *args: Any, **kwargs: Any) -> Any:
        register()
        return stock(cls, *args, **kwargs)

    module.AutoConfig.from_pretrained = classmethod(from_pretrained)


@cache
def register() -> None:
    """Register configs and models that drop tokens with transformers' auto classes, once."""
    from transformers import CONFIG_MAPPING, AutoConfig

    for family in FAMILIES:
        config = config_class(CONFIG_MAPPING[family])
        AutoConfig.register(config.model_type, config)
    import_module("vtrans.tokens.model").install(import_module("transformers.models.auto.modeling_auto"))
