"""Labels of rows as ids of a model's classes."""

import math
from collections.abc import Sequence
from typing import Any

from vtrans.errors import SuiteError


def label_text(label: Any) -> str:
    """A label as text, whole numbers without a point; empty for none, and for what is not a number (NaN)."""
    label = label.item() if hasattr(label, "item") else label  # of NumPy or torch
    if label is None or (isinstance(label, float) and math.isnan(label)):
        return ""
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    text = str(label).strip()
    return "" if text.lower() == "nan" else text


def is_whole(text: str) -> bool:
    """Whether a text is a whole number as one writes it: `7`, and not `007` or `7.0`."""
    return text.removeprefix("-").isdecimal() and str(int(text)) == text


def nameless(names: Sequence[str]) -> bool:
    """Whether classes have the names that transformers gives where nobody has."""
    return all(name.startswith("LABEL_") for name in names)


def class_ids(labels: Sequence[Any], names: Sequence[str]) -> list[int]:
    """Ids of classes: all labels are names, or all are ids. Whole numbers are names where the names are numbers.

    Args:
        labels: of the rows, as text or numbers.
        names: of the model's classes, in the order of its outputs.

    Raises:
        SuiteError: a label is neither.
    """
    texts = [label_text(label) for label in labels]
    found = set(texts)
    if found <= set(names):
        return [names.index(text) for text in texts]
    ids = {str(i) for i in range(len(names))}
    if found <= ids and not all(map(is_whole, names)):
        return [int(text) for text in texts]
    shown = ", ".join(sorted(found - set(names))[:5])
    remedy = (
        "write class ids, or name the classes in id2label of its config" if nameless(names) else "write these names"
    )
    raise SuiteError(f"the rows have the classes {shown}; the model's are {', '.join(names)}", remedy)
