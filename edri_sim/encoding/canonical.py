"""Equal values, equal bytes: whatever has no order of its own (sets, dicts) is put in order before it is encoded.

msgspec orders dicts with str keys and sets of simple values as it encodes. The rest is done here: a value is copied
into plain lists and dicts, ordered by the encoded form of their members, and these encode as the value would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import inspect
from msgspec.inspect import Type

from edri_sim.encoding.checks import python_types
from edri_sim.encoding.shapes import plain, walk

Copy = Callable[[Any], Any]

_SORTABLE = (inspect.IntType, inspect.StrType, inspect.BytesType, inspect.DateType, inspect.UUIDType)
_SETS = (inspect.SetType, inspect.FrozenSetType)

_encode = msgspec.msgpack.Encoder().encode


def compile_copy(shape: Type) -> Copy | None:
    """What puts values of a shape in order, or None if msgspec's own ordering is enough."""
    if not any(_needs_copy(plain(part)[0]) for _, part in walk(shape)):
        return None
    return _Compiler().compile(shape)


def _needs_copy(shape: Type) -> bool:
    if isinstance(shape, inspect.DictType):
        return not isinstance(plain(shape.key_type)[0], inspect.StrType)
    return isinstance(shape, _SETS) and not isinstance(plain(shape.item_type)[0], _SORTABLE)


class _Compiler:
    def __init__(self) -> None:
        self._of_class: dict[Any, Copy] = {}

    def compile(self, shape: Type) -> Copy:
        inner, _ = plain(shape)
        compound = _COMPOUNDS.get(type(inner))
        return compound(self, inner) if compound else _same

    def once(self, shape: Any, make: Callable[[], Copy]) -> Copy:
        """The copy of a class, made once; a class within itself gets a reference to it."""
        cls = shape.cls
        if cls not in self._of_class:
            self._of_class[cls] = lambda value: self._of_class[cls](value)
            self._of_class[cls] = make()
        return self._of_class[cls]

    def fields(self, shape: Any) -> Copy:
        """A dataclass, or a Struct with its tag, becomes a dict; a Struct that encodes as an array becomes a list."""
        return self.once(shape, lambda: self._object(shape))

    def _object(self, shape: Any) -> Copy:
        parts = tuple((field.name, field.encode_name, self.compile(field.type)) for field in shape.fields)
        tag_field, tag = getattr(shape, "tag_field", None), getattr(shape, "tag", None)
        head = {} if tag_field is None else {tag_field: tag}
        if getattr(shape, "array_like", False):
            return lambda value: [*head.values(), *(copy(getattr(value, name)) for name, _, copy in parts)]
        return lambda value: head | {key: copy(getattr(value, name)) for name, key, copy in parts}

    def typed_dict(self, shape: Any) -> Copy:
        """The keys of a TypedDict are ordered as any dict's."""
        return self.once(shape, lambda: self._known_keys(shape))

    def _known_keys(self, shape: Any) -> Copy:
        parts = {field.name: self.compile(field.type) for field in shape.fields}
        return lambda value: {key: copy(value[key]) for key, copy in parts.items() if key in value}

    def items(self, shape: Any) -> Copy:
        """A list or a tuple keeps its order."""
        item = self.compile(shape.item_type)
        return lambda value: [item(each) for each in value]

    def unordered(self, shape: Any) -> Copy:
        """A set is ordered by the encoded form of its items."""
        item = self.compile(shape.item_type)
        return lambda value: _ordered(map(item, value), _encode)

    def mapping(self, shape: Any) -> Copy:
        """A dict is ordered by the encoded form of its keys."""
        item = self.compile(shape.value_type)
        return lambda value: {key: item(each) for key, each in _ordered(value.items(), lambda entry: _encode(entry[0]))}

    def fixed(self, shape: Any) -> Copy:
        """A tuple of fixed length keeps its order."""
        return _row(tuple(self.compile(item) for item in shape.item_types))

    def named(self, shape: Any) -> Copy:
        """A NamedTuple encodes as an array."""
        return self.once(shape, lambda: _row(tuple(self.compile(field.type) for field in shape.fields)))

    def union(self, shape: Any) -> Copy:
        """The class of the value tells which member of the union is meant."""
        table: dict[type[Any], Copy] = {}
        for member in shape.types:
            inner, _ = plain(member)
            table.update(dict.fromkeys(python_types(inner), self.compile(member)))
        return lambda value: table[type(value)](value)


_COMPOUNDS: dict[type[Type], Callable[[_Compiler, Any], Copy]] = {
    inspect.DataclassType: _Compiler.fields,
    inspect.StructType: _Compiler.fields,
    inspect.TypedDictType: _Compiler.typed_dict,
    inspect.NamedTupleType: _Compiler.named,
    inspect.TupleType: _Compiler.fixed,
    inspect.ListType: _Compiler.items,
    inspect.VarTupleType: _Compiler.items,
    inspect.SetType: _Compiler.unordered,
    inspect.FrozenSetType: _Compiler.unordered,
    inspect.DictType: _Compiler.mapping,
    inspect.UnionType: _Compiler.union,
}


def _same(value: Any) -> Any:
    return value


def _row(members: tuple[Copy, ...]) -> Copy:
    return lambda value: [copy(each) for copy, each in zip(members, value, strict=True)]


def _ordered(items: Iterable[Any], key: Callable[[Any], bytes]) -> list[Any]:
    return sorted(items, key=key)
