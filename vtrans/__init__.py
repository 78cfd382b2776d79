"""Compress one Transformer: anatomy, gates, surgery, size, distillation, training and the VTrans methods.

    from vtrans import VTrans, compress, load_pruned, save_pruned

Names are imported when they are first used, so that the command line starts without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vtrans.dropping import install
from vtrans.hooks import after_import

if TYPE_CHECKING:
    from vtrans.api import compress, compress_family
    from vtrans.methods.family import VTransFamily
    from vtrans.methods.vtrans import FasterVTrans, FastVTrans, VTrans
    from vtrans.pruning.masking import apply_masks
    from vtrans.saving.pruned import load_pruned, save_pruned

__all__ = [
    "FastVTrans",
    "FasterVTrans",
    "VTrans",
    "VTransFamily",
    "apply_masks",
    "compress",
    "compress_family",
    "load_pruned",
    "save_pruned",
]
_HOMES = {
    "compress": "vtrans.api",
    "compress_family": "vtrans.api",
    "VTransFamily": "vtrans.methods.family",
    "VTrans": "vtrans.methods.vtrans",
    "FastVTrans": "vtrans.methods.vtrans",
    "FasterVTrans": "vtrans.methods.vtrans",
    "apply_masks": "vtrans.pruning.masking",
    "load_pruned": "vtrans.saving.pruned",
    "save_pruned": "vtrans.saving.pruned",
}


def _install_models(module: Any) -> None:
    import_module("vtrans.saving.build").install(module)


def _install_llama(module: Any) -> None:
    import_module("vtrans.saving.build").install_llama(module)


# From here on, transformers loads what this package saves.
after_import("transformers.modeling_utils", _install_models)
after_import("transformers.models.llama.configuration_llama", _install_llama)
after_import("transformers.models.auto.configuration_auto", install)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vtrans' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
