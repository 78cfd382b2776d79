"""Anatomies: the only code that knows model families. One family, one small file."""

from vtrans.anatomy import bert as _bert  # noqa: F401  (registers itself)
from vtrans.anatomy import gpt2 as _gpt2  # noqa: F401
from vtrans.anatomy import llama as _llama  # noqa: F401
from vtrans.anatomy import roberta as _roberta  # noqa: F401
from vtrans.anatomy.base import Anatomy, Block, anatomy_of, families, no_anatomy, register

__all__ = ["Anatomy", "Block", "anatomy_of", "families", "no_anatomy", "register"]
