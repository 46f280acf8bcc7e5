"""What JSON needs beyond msgspec: unknown fields are errors, and null stands for NaN where NaN is declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import inspect
from msgspec.inspect import Type

from edri_sim.encoding.checks import Misfit
from edri_sim.encoding.shapes import plain

_NAN = float("nan")


def read(shape: Type, raw: Any, strict: bool) -> Any:
    """Plain JSON data, ready to be converted to the type: null is NaN where the type says so.

    Raises:
        Misfit: ``strict``, and an object has a field that its type does not know.
    """
    inner, nan = plain(shape)
    if nan and raw is None and isinstance(inner, inspect.FloatType):
        return _NAN
    expected, reader = _READERS.get(type(inner), (None, None))
    if reader is None or (expected is not None and type(raw) is not expected):
        return raw
    return reader(inner, raw, strict)


def _object(shape: Any, raw: dict[str, Any], strict: bool) -> dict[str, Any]:
    types = {field.encode_name: field.type for field in shape.fields}
    tag_field = getattr(shape, "tag_field", None)
    result = {}
    for key, value in raw.items():
        if key in types:
            result[key] = _within(f".{key}", types[key], value, strict)
        elif key == tag_field:
            result[key] = value
        elif strict:
            raise Misfit("one of the fields " + ", ".join(types), f"the unknown field {key!r}")
    return result


def _struct(shape: Any, raw: Any, strict: bool) -> Any:
    if not shape.array_like:
        return _object(shape, raw, strict) if type(raw) is dict else raw
    head = 0 if shape.tag_field is None else 1
    return _array(raw, head, [field.type for field in shape.fields], strict) if type(raw) is list else raw


def _array(raw: list[Any], head: int, types: list[Type], strict: bool) -> list[Any]:
    most = head + len(types)
    if strict and len(raw) > most:
        raise Misfit(f"at most {most} items", str(len(raw)))
    pairs = enumerate(zip(types, raw[head:], strict=False), start=head)
    return raw[:head] + [_within(f"[{index}]", shape, value, strict) for index, (shape, value) in pairs]


def _fixed(shape: Any, raw: list[Any], strict: bool) -> list[Any]:
    types = list(shape.item_types)
    return _array(raw, 0, types, strict) + raw[len(types) :]


def _named(shape: Any, raw: list[Any], strict: bool) -> list[Any]:
    types = [field.type for field in shape.fields]
    return _array(raw, 0, types, strict) + raw[len(types) :]


def _items(shape: Any, raw: list[Any], strict: bool) -> list[Any]:
    return [_within(f"[{index}]", shape.item_type, value, strict) for index, value in enumerate(raw)]


def _mapping(shape: Any, raw: dict[str, Any], strict: bool) -> dict[str, Any]:
    return {key: _within("[...]", shape.value_type, value, strict) for key, value in raw.items()}


def _union(shape: Any, raw: Any, strict: bool) -> Any:
    member = _member(shape, raw)
    return raw if member is None else read(member, raw, strict)


def _member(shape: Any, raw: Any) -> Type | None:
    """The member of a union that JSON data stand for; msgspec sees to it that there is at most one."""
    members = [plain(member)[0] for member in shape.types]
    if raw is None:
        floats = [member for member in shape.types if plain(member)[1]]
        return None if any(isinstance(member, inspect.NoneType) for member in members) or not floats else floats[0]
    fitting = [member for member in members if _may_be(member, raw)]
    return fitting[0] if fitting else None


def _may_be(member: Any, raw: Any) -> bool:
    if isinstance(member, inspect.StructType):
        return _may_be_struct(member, raw)
    expected, _ = _READERS.get(type(member), (None, None))
    return expected is not None and type(raw) is expected


def _may_be_struct(member: inspect.StructType, raw: Any) -> bool:
    if member.array_like:
        return type(raw) is list and (member.tag_field is None or raw[:1] == [member.tag])
    return type(raw) is dict and (member.tag_field is None or raw.get(member.tag_field) == member.tag)


def _within(step: str, shape: Type, raw: Any, strict: bool) -> Any:
    try:
        return read(shape, raw, strict)
    except Misfit as misfit:
        raise misfit.within(step) from None


_READERS: dict[type[Type], tuple[type[Any] | None, Callable[[Any, Any, bool], Any]]] = {
    inspect.DataclassType: (dict, _object),
    inspect.TypedDictType: (dict, _object),
    inspect.DictType: (dict, _mapping),
    inspect.ListType: (list, _items),
    inspect.SetType: (list, _items),
    inspect.FrozenSetType: (list, _items),
    inspect.VarTupleType: (list, _items),
    inspect.TupleType: (list, _fixed),
    inspect.NamedTupleType: (list, _named),
    inspect.StructType: (None, _struct),
    inspect.UnionType: (None, _union),
}
"""What JSON makes of a shape (None: it depends), and what reads it."""
