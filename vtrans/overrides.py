"""Any leaf of a tree of hyper-parameters, replaced by its path: typed, checked, and written back as text."""

import dataclasses
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

from vtrans.errors import SuiteError, did_you_mean
from vtrans.settings import Precision, Schedule

T = TypeVar("T")
SEPARATOR = ":"  # between the items of a tuple


def with_leaf(thing: T, path: Sequence[str], text: str, name: str = "") -> T:
    """A copy of a dataclass with one leaf replaced.

    Args:
        thing: the root, a dataclass.
        path: names of fields, and of keys of dictionaries, from the root to the leaf.
        text: the new value.
        name: of the root, for error messages.

    Raises:
        SuiteError: there is no such leaf, or the value is of another type or out of range.
    """
    head, *rest = path
    where = f"{name}.{head}" if name else head
    known: dict[str, Any] = thing if isinstance(thing, dict) else _fields(thing)
    if head not in known:
        raise did_you_mean("hyper-parameter", where, [f"{name}.{each}" if name else each for each in known])
    kind = type(known[head]) if isinstance(thing, dict) else typing.get_type_hints(type(thing))[head]
    if rest:
        if not (dataclasses.is_dataclass(known[head]) or isinstance(known[head], dict)):
            raise SuiteError(f"{where} has no parts", f"write {where}=VALUE")
        value = with_leaf(known[head], rest, text, where)
    elif dataclasses.is_dataclass(known[head]) or isinstance(known[head], dict):
        raise SuiteError(f"{where} is no single value", f"choose one of its parts: {_parts(where, known[head])}")
    else:
        value = parse(text, kind, where)
    if isinstance(thing, dict):
        return typing.cast("T", {**thing, head: value})
    return dataclasses.replace(thing, **{head: value})  # type: ignore[type-var]


def _fields(thing: Any) -> dict[str, Any]:
    return {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}


def _parts(where: str, thing: Any) -> str:
    known = thing if isinstance(thing, dict) else _fields(thing)
    return ", ".join(f"{where}.{each}" for each in known)


def parse(text: str, kind: Any, where: str) -> Any:
    """The value of a field of type `kind` that `text` stands for.

    Raises:
        SuiteError: it stands for none.
    """
    origin, choices = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        found = next((choice for choice in choices if str(choice) == text), None)
        if found is None:
            raise did_you_mean(where, text, [str(choice) for choice in choices])
        return found
    if origin in (typing.Union, types.UnionType):
        return None if text == "None" else parse(text, next(c for c in choices if c is not type(None)), where)
    if origin is tuple:
        items = text.split(SEPARATOR) if text else []
        return tuple(parse(item, choices[0], where) for item in items)
    if kind is bool:
        if text not in ("True", "False"):
            raise SuiteError(f"{where}={text} is neither True nor False", "write one of them")
        return text == "True"
    if kind not in (int, float, str):
        raise SuiteError(f"{where} cannot be set from text", "change it in a preset")
    try:
        value = kind(text)
    except ValueError:
        noun = "a whole number" if kind is int else "a number"
        raise SuiteError(f"{where}={text} is not {noun}", f"write {noun}") from None
    if kind is float and not -float("inf") < value < float("inf"):
        raise SuiteError(f"{where}={text} is not finite", "write a number")
    return value


def leaf_text(thing: Any, path: Sequence[str]) -> str:
    """The text of a leaf, the same for the same value: what `parse` reads back."""
    for name in path:
        thing = thing[name] if isinstance(thing, dict) else getattr(thing, name)
    return SEPARATOR.join(map(str, thing)) if isinstance(thing, tuple) else str(thing)


def with_precision(thing: T, precision: Precision) -> T:
    """A copy of a tree with all its schedules in one precision."""
    if isinstance(thing, Schedule):
        return dataclasses.replace(thing, precision=precision)
    if isinstance(thing, tuple):
        return typing.cast("T", tuple(with_precision(item, precision) for item in thing))
    if not dataclasses.is_dataclass(thing) or isinstance(thing, type):
        return thing
    changed = {name: with_precision(value, precision) for name, value in _fields(thing).items()}
    return dataclasses.replace(thing, **changed)
