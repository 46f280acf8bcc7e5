"""Hypothesis strategies for every type of frame, made from the annotations of its fields."""

from __future__ import annotations

import typing
from typing import Any

import msgspec
from hypothesis import strategies as st

from edri_sim.links import frames
from edri_sim.links.frames import Frame, Relayed


def _concrete(cls: type[Frame]) -> list[type[Frame]]:
    found = [cls] if cls.number else []
    return found + [each for child in cls.__subclasses__() for each in _concrete(child)]


FRAMES = sorted(_concrete(Frame), key=lambda cls: cls.number)
RELAYED = [cls for cls in FRAMES if issubclass(cls, Relayed)]

_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**64 - 1),
    float: st.floats(allow_nan=False),
    bytes: st.binary(max_size=200),
    str: st.text(max_size=60),
}


def _of(annotation: Any) -> st.SearchStrategy[Any]:
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        meta: msgspec.Meta = arguments[1]
        if meta.max_length is not None:
            return st.text(max_size=min(meta.max_length, 40))
        return st.integers(0, 2**64 - 1)
    if origin is list:
        return st.lists(_of(arguments[0]), max_size=4)
    if origin is tuple:
        return st.tuples(*map(_of, arguments))
    if origin is dict:
        return st.dictionaries(*map(_of, arguments), max_size=4)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return _struct(annotation)
    raise TypeError(f"no strategy for {annotation!r}")


def _struct(cls: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls, vars(frames), include_extras=True)
    return st.builds(cls, *[_of(hints[name]) for name in cls.__struct_fields__])


def instances(cls: type[Frame]) -> st.SearchStrategy[Any]:
    """Frames of a type."""
    return _struct(cls)


any_frame: st.SearchStrategy[Any] = st.sampled_from(FRAMES).flatmap(instances)
flag_bytes = st.integers(0, 255)
