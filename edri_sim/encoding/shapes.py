"""Which types can travel, and what is in them: a reading of ``msgspec.inspect``."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import inspect
from msgspec.inspect import (
    BoolType,
    BytesType,
    DataclassType,
    DateTimeType,
    DateType,
    DecimalType,
    DictType,
    EnumType,
    FloatType,
    FrozenSetType,
    IntType,
    ListType,
    LiteralType,
    Metadata,
    NamedTupleType,
    NoneType,
    SetType,
    StrType,
    StructType,
    TimeDeltaType,
    TimeType,
    TupleType,
    Type,
    TypedDictType,
    UnionType,
    UUIDType,
    VarTupleType,
)

NAN_KEY = "nan"
"""The key in ``msgspec.Meta(extra=...)`` that lets a float be NaN or infinite."""

Parts = tuple[tuple[str, Type], ...]

SCALARS: dict[type[Type], str] = {
    NoneType: "null",
    BoolType: "bool",
    IntType: "int",
    FloatType: "float",
    StrType: "str",
    BytesType: "bytes",
    DateTimeType: "datetime",
    DateType: "date",
    TimeType: "time",
    TimeDeltaType: "timedelta",
    UUIDType: "uuid",
    DecimalType: "decimal",
    EnumType: "enum",
    LiteralType: "literal",
}


_CACHE = "__msgspec_cache__"
_NOT_A_KEY = (None, "null", "bool")
"""What JSON cannot take as the key of an object; None stands for all that is no scalar."""


class UntravellableType(Exception):
    """A type cannot be encoded; ``path`` leads to it from the type that was asked about."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


def shape_of(annotation: Any) -> Type:
    """The msgspec description of a type.

    Raises:
        UntravellableType: msgspec cannot tell how to encode it.
    """
    try:
        shape = inspect.type_info(annotation)
    except (TypeError, NameError, ValueError, RuntimeError) as error:
        raise UntravellableType(f"{error}: it cannot travel") from error
    forget_caches(shape)
    return shape


def forget_caches(shape: Type) -> None:
    """Take from the classes in a shape what msgspec keeps on them, for cloudpickle cannot send it to a worker."""
    for _, part in walk(shape):
        cls = getattr(plain(part)[0], "cls", None)
        if isinstance(cls, type) and _CACHE in vars(cls):
            delattr(cls, _CACHE)


def plain(shape: Type) -> tuple[Type, bool]:
    """The shape without its metadata, and whether the metadata allow NaN and infinity."""
    if isinstance(shape, Metadata):
        return shape.type, bool((shape.extra or {}).get(NAN_KEY))
    return shape, False


_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern", "tz")


def constraints_of(shape: Type) -> dict[str, Any]:
    """What ``msgspec.Meta`` demands of the values of a plain shape, by keyword."""
    found = {name: getattr(shape, name, None) for name in _CONSTRAINTS}
    return {name: value for name, value in found.items() if value is not None}


def _fields(shape: Any) -> Parts:
    return tuple((f".{field.name}", field.type) for field in shape.fields)


def _item(shape: Any) -> Parts:
    return (("[]", shape.item_type),)


_PARTS: dict[type[Type], Callable[[Any], Parts]] = {
    DataclassType: _fields,
    StructType: _fields,
    TypedDictType: _fields,
    NamedTupleType: _fields,
    ListType: _item,
    SetType: _item,
    FrozenSetType: _item,
    VarTupleType: _item,
    TupleType: lambda shape: tuple((f"[{i}]", item) for i, item in enumerate(shape.item_types)),
    UnionType: lambda shape: tuple(("", member) for member in shape.types),
    DictType: lambda shape: (("[key]", shape.key_type), ("[]", shape.value_type)),
}


def parts_of(shape: Type) -> Parts:
    """The shapes directly inside a plain shape, each with its step of the path."""
    reader = _PARTS.get(type(shape))
    return reader(shape) if reader else ()


def walk(shape: Type, path: str = "", seen: dict[Any, None] | None = None) -> Iterator[tuple[str, Type]]:
    """Every shape within a shape, with its path, in order; a class is entered once."""
    seen = {} if seen is None else seen
    inner, _ = plain(shape)
    cls = getattr(inner, "cls", None)
    if cls is not None and cls in seen:
        return
    if cls is not None:
        seen[cls] = None
    yield path, shape
    for step, part in parts_of(inner):
        yield from walk(part, path + step, seen)


def check_shape(shape: Type, seen: Any = None) -> None:
    """Refuse a shape that holds what cannot travel; the class ``seen`` is under check already, so it is not entered.

    Raises:
        UntravellableType: with the path to the first such part.
    """
    for path, found in walk(shape, seen={} if seen is None else {seen: None}):
        part, _ = plain(found)
        reason = _reason_against(part)
        if reason:
            raise UntravellableType(reason, path)
        if isinstance(part, DictType) and SCALARS.get(type(plain(part.key_type)[0])) in _NOT_A_KEY:
            raise UntravellableType("the keys of a dict have to be of one plain type such as str or int", path)


def _reason_against(part: Type) -> str | None:
    if type(part) in SCALARS or type(part) in _PARTS:
        flags = isinstance(part, EnumType) and issubclass(part.cls, enum.Flag)
        return "combined flags cannot travel: use int" if flags else None
    return _REASONS.get(type(part), _cannot_travel)(part)


def _cannot_travel(part: Any) -> str:
    cls = getattr(part, "cls", None)
    name = getattr(cls, "__qualname__", None) or str(cls or type(part).__name__.removesuffix("Type").lower())
    article = "an" if name[0] in "AEIOUaeiou" else "a"
    return f"{article} {name} cannot travel to another process or node: use a type that can be encoded as data"


_REASONS: dict[type[Type], Callable[[Any], str]] = {
    inspect.AnyType: lambda _: (
        "Any (also in a bare list, dict, set or tuple, or an open type variable) says nothing of what travels: "
        "name the type"
    ),
    inspect.ByteArrayType: lambda _: "a bytearray can change while it travels: use bytes",
    inspect.MemoryViewType: lambda _: "a memoryview is tied to memory of this process: use bytes",
}
