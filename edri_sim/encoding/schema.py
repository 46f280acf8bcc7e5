"""Schemas: what a type looks like on the wire, and whether a reader of one type understands a writer of another.

A schema is plain data (dicts, lists, str, numbers, None), so that it can be sent and compared, and holds nothing that
depends on the process or on Python's version: fields are by name, classes have numbers in the order of their first use.

    {"type": type, "classes": [class, ...]}

A type is the name of a scalar ("int"), or a dict with ``kind`` and what belongs to it. A class has ``fields`` (name to
type and presence) or, where it travels as an array, ``items``; ``open`` tells whether it skips what it does not know.
The presence of a field is "required", "default" (always written, may be missing) or "optional" (may be left out).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import inspect
from msgspec.inspect import Type

from edri_sim.encoding.shapes import SCALARS, constraints_of, plain

Schema = dict[str, Any]

_to_json = msgspec.json.Encoder(order="sorted").encode


def fingerprint_of(schema: Schema) -> str:
    """The 64-bit BLAKE2b digest of a schema, as 16 hexadecimal digits."""
    return hashlib.blake2b(_to_json(schema), digest_size=8).hexdigest()


def schema_of(shape: Type) -> Schema:
    """The schema of a type that can travel."""
    describer = _Describer()
    root = describer.describe(shape)
    return {"type": root, "classes": describer.classes}


class _Describer:
    def __init__(self) -> None:
        self.classes: list[dict[str, Any]] = []
        self._numbers: dict[Any, int] = {}

    def describe(self, shape: Type) -> Any:
        inner, nan = plain(shape)
        describe = _DESCRIBERS.get(type(inner))
        if describe is not None:
            return describe(self, inner) | constraints_of(inner)
        name = "nan_float" if nan else SCALARS[type(inner)]
        limits = constraints_of(inner)
        return {"kind": name, **limits} if limits else name

    def values(self, shape: Any) -> dict[str, Any]:
        """An enum or a literal: a choice of values."""
        members = [member.value for member in shape.cls] if isinstance(shape, inspect.EnumType) else shape.values
        return {"kind": "choice", "values": sorted(members, key=_to_json)}

    def array(self, shape: Any) -> dict[str, Any]:
        """A list or a tuple of any length."""
        return {"kind": "array", "items": self.describe(shape.item_type)}

    def set(self, shape: Any) -> dict[str, Any]:
        """A set, frozen or not."""
        return {"kind": "set", "items": self.describe(shape.item_type)}

    def mapping(self, shape: Any) -> dict[str, Any]:
        """A dict of any keys."""
        return {"kind": "map", "keys": self.describe(shape.key_type), "values": self.describe(shape.value_type)}

    def row(self, shape: Any) -> dict[str, Any]:
        """A tuple of fixed length."""
        items = [{"type": self.describe(item), "presence": "required"} for item in shape.item_types]
        return {"kind": "row", "open": False, "items": items}

    def union(self, shape: Any) -> dict[str, Any]:
        """One of several types; their order says nothing."""
        in_order = sorted(shape.types, key=_rank)
        return {"kind": "union", "members": [self.describe(member) for member in in_order]}

    def reference(self, shape: Any) -> dict[str, Any]:
        """A class, by its number."""
        if shape.cls not in self._numbers:
            number = self._numbers[shape.cls] = len(self.classes)
            self.classes.append({})
            self.classes[number] = self._class(shape)
        return {"kind": "class", "number": self._numbers[shape.cls]}

    def _class(self, shape: Any) -> dict[str, Any]:
        tag = {} if getattr(shape, "tag_field", None) is None else {"tag": [shape.tag_field, shape.tag]}
        closed = getattr(shape, "forbid_unknown_fields", False)
        if isinstance(shape, inspect.NamedTupleType) or getattr(shape, "array_like", False):
            items = [self._field(shape, field) for field in shape.fields]
            return {"kind": "row", "open": isinstance(shape, inspect.StructType) and not closed, "items": items, **tag}
        by_name = sorted(shape.fields, key=lambda field: str(field.encode_name))
        fields = {field.encode_name: self._field(shape, field) for field in by_name}
        return {"kind": "object", "open": not closed, "fields": fields, **tag}

    def _field(self, shape: Any, field: inspect.Field) -> dict[str, Any]:
        return {"type": self.describe(field.type), "presence": _presence(shape, field)}


def _rank(member: Type) -> tuple[str, str]:
    """The place of a member in its union: a union has one member of a kind, save for Structs, which tags tell apart."""
    inner, _ = plain(member)
    return type(inner).__name__, str(getattr(inner, "tag", None) or getattr(inner, "values", ""))


def _presence(shape: Any, field: inspect.Field) -> str:
    if field.required:
        return "required"
    config = getattr(shape.cls, "__struct_config__", None)
    left_out = isinstance(shape, inspect.TypedDictType) or (config is not None and config.omit_defaults)
    return "optional" if left_out else "default"


_DESCRIBERS: dict[type[Type], Callable[[_Describer, Any], dict[str, Any]]] = {
    inspect.EnumType: _Describer.values,
    inspect.LiteralType: _Describer.values,
    inspect.ListType: _Describer.array,
    inspect.VarTupleType: _Describer.array,
    inspect.SetType: _Describer.set,
    inspect.FrozenSetType: _Describer.set,
    inspect.DictType: _Describer.mapping,
    inspect.TupleType: _Describer.row,
    inspect.UnionType: _Describer.union,
    inspect.DataclassType: _Describer.reference,
    inspect.StructType: _Describer.reference,
    inspect.TypedDictType: _Describer.reference,
    inspect.NamedTupleType: _Describer.reference,
}
