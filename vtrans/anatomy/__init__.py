"""Anatomies: the only code that knows model families. One family, one small file, and one line here."""

from vtrans.anatomy import bert as _bert  # noqa: F401  (registers itself)
from vtrans.anatomy import distilbert as _distilbert  # noqa: F401
from vtrans.anatomy import gpt2 as _gpt2  # noqa: F401
from vtrans.anatomy import llama as _llama  # noqa: F401
from vtrans.anatomy import mistral as _mistral  # noqa: F401
from vtrans.anatomy import modernbert as _modernbert  # noqa: F401
from vtrans.anatomy import qwen as _qwen  # noqa: F401
from vtrans.anatomy import roberta as _roberta  # noqa: F401
from vtrans.anatomy.base import Anatomy, Block, anatomy_of, families, family_of, head_size, no_anatomy, register
from vtrans.anatomy.widths import Widths, is_pruned, write_widths

__all__ = [
    "Anatomy",
    "Block",
    "Widths",
    "anatomy_of",
    "families",
    "family_of",
    "head_size",
    "is_pruned",
    "no_anatomy",
    "register",
    "write_widths",
]
