"""Compiles a shape, scalars and containers alike, into one check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import length_hint
from typing import Any

from msgspec import inspect
from msgspec.inspect import Type

from edri_sim.encoding.checks import (
    STRICT,
    Check,
    Leaf,
    Misfit,
    Sure,
    constrained,
    python_types,
    sure_of_all,
    type_misfit,
)
from edri_sim.encoding.shapes import constraints_of, plain, walk


def whole_check(shape: Type) -> Check:
    """The check of everything in a shape."""
    return _Compiler(STRICT).compile(shape) or _accept


def partial_check(shape: Type, leaves: Mapping[type[Type], Leaf]) -> Check | None:
    """The check of those scalars for which ``leaves`` has one, or None if the shape holds none of them."""
    return _Compiler(leaves).compile(shape)


class _Compiler:
    """Compiles one shape and all within it; a class that contains itself refers to its own check."""

    def __init__(self, leaves: Mapping[type[Type], Leaf]) -> None:
        self._leaves = leaves
        self._strict = leaves is STRICT
        self._of_class: dict[Any, Check] = {}

    def compile(self, shape: Type) -> Check | None:
        inner, nan = plain(shape)
        leaf = self._leaves.get(type(inner))
        if leaf is not None:
            check = leaf(inner, nan)
            return constrained(inner, check) if self._strict and check is not None else check
        if not self._strict and not self._reaches_leaf(inner):
            return None
        return _COMPOUNDS[type(inner)](self, inner)

    def _reaches_leaf(self, shape: Type) -> bool:
        for _, part in walk(shape):
            inner, nan = plain(part)
            leaf = self._leaves.get(type(inner))
            if leaf is not None and leaf(inner, nan) is not None:
                return True
        return False

    def once(self, shape: Any, make: Callable[[], Check]) -> Check:
        """The check of a class, made once; while it is being made, a class within itself gets a reference to it."""
        cls = shape.cls
        if cls not in self._of_class:
            self._of_class[cls] = lambda value: self._of_class[cls](value)
            self._of_class[cls] = make()
        return self._of_class[cls]

    def fields(self, shape: Any) -> Check:
        """The check of a dataclass or a Struct."""
        return self.once(shape, lambda: _attributes(python_types(shape)[0], self._parts(shape)))

    def _parts(self, shape: Any) -> tuple[tuple[str, Check], ...]:
        checks = ((field.name, self.compile(field.type)) for field in shape.fields)
        return tuple((name, check) for name, check in checks if check is not None)

    def typed_dict(self, shape: Any) -> Check:
        """The check of a TypedDict."""
        required = tuple(field.name for field in shape.fields if field.required)
        return self.once(
            shape,
            lambda: _typed_dict({field.name: self.compile(field.type) or _accept for field in shape.fields}, required),
        )

    def items(self, shape: Any) -> Check:
        """The check of a list, a tuple of any length, or a set."""
        (cls,) = python_types(shape)
        check = _items(cls, self.compile(shape.item_type) or _accept, sure_of_all(shape.item_type) or _unsure)
        return _sized(shape, check) if self._strict else check

    def fixed(self, shape: Any) -> Check:
        """The check of a tuple of fixed length."""
        return _row(tuple, self._all(shape.item_types))

    def named(self, shape: Any) -> Check:
        """The check of a NamedTuple."""
        (cls,) = python_types(shape)
        return self.once(shape, lambda: _row(cls, self._all(tuple(field.type for field in shape.fields))))

    def _all(self, shapes: tuple[Type, ...]) -> tuple[Check, ...]:
        return tuple(self.compile(shape) or _accept for shape in shapes)

    def mapping(self, shape: Any) -> Check:
        """The check of a dict."""
        check = _mapping(self.compile(shape.key_type) or _accept, self.compile(shape.value_type) or _accept)
        return _sized(shape, check) if self._strict else check

    def union(self, shape: Any) -> Check:
        """The check of a union: the class of the value tells which member is meant."""
        exact: dict[type[Any], Check] = {}
        widened: dict[type[Any], Check] = {}
        for member in _merge_literals(shape.types):
            check = self.compile(member) or _accept
            inner, _ = plain(member)
            first, *others = python_types(inner)
            literal = isinstance(inner, inspect.LiteralType)
            exact.update({} if literal else {first: check})
            widened.update(dict.fromkeys((first, *others) if literal else others, check))
        return _union(widened | exact)


def _merge_literals(members: tuple[Type, ...]) -> list[Type]:
    literals = [member for member in members if isinstance(member, inspect.LiteralType)]
    others = [member for member in members if not isinstance(member, inspect.LiteralType)]
    merged = inspect.LiteralType(tuple(value for literal in literals for value in literal.values))
    return [merged, *others] if literals else others


_COMPOUNDS: dict[type[Type], Callable[[_Compiler, Any], Check]] = {
    inspect.DataclassType: _Compiler.fields,
    inspect.StructType: _Compiler.fields,
    inspect.TypedDictType: _Compiler.typed_dict,
    inspect.NamedTupleType: _Compiler.named,
    inspect.TupleType: _Compiler.fixed,
    inspect.ListType: _Compiler.items,
    inspect.SetType: _Compiler.items,
    inspect.FrozenSetType: _Compiler.items,
    inspect.VarTupleType: _Compiler.items,
    inspect.DictType: _Compiler.mapping,
    inspect.UnionType: _Compiler.union,
}


def _accept(_: Any) -> None:
    """The check of what needs none."""


def _attributes(cls: type[Any], parts: tuple[tuple[str, Check], ...]) -> Check:
    def check(value: Any) -> None:
        if type(value) is not cls:
            raise type_misfit(cls.__name__, value)
        for name, part in parts:
            try:
                part(getattr(value, name))
            except Misfit as misfit:
                raise misfit.within(f".{name}") from None

    return check


def _unsure(_: Any) -> bool:
    return False


def _items(cls: type[Any], item: Check, sure: Sure) -> Check:
    ordered = cls in (list, tuple)

    def check(value: Any) -> None:
        if type(value) is not cls:
            raise type_misfit(cls.__name__, value)
        if sure(value):
            return
        place = iter(value)
        try:
            for each in place:
                item(each)
        except Misfit as misfit:
            index = len(value) - 1 - length_hint(place)
            raise misfit.within(f"[{index}]" if ordered else "[...]") from None

    return check


def _row(cls: type[Any], members: tuple[Check, ...]) -> Check:
    def check(value: Any) -> None:
        if type(value) is not cls:
            raise type_misfit(cls.__name__, value)
        if len(value) != len(members):
            raise Misfit(f"{len(members)} items", str(len(value)))
        for index, member in enumerate(members):
            try:
                member(value[index])
            except Misfit as misfit:
                raise misfit.within(f"[{index}]") from None

    return check


def _mapping(key: Check, item: Check) -> Check:
    def check(value: Any) -> None:
        if type(value) is not dict:
            raise type_misfit("dict", value)
        step = "[key]"
        try:
            for each in value:
                key(each)
            step = "[...]"
            for each in value.values():
                item(each)
        except Misfit as misfit:
            raise misfit.within(step) from None

    return check


def _typed_dict(known: Mapping[str, Check], required: tuple[str, ...]) -> Check:
    def check(value: Any) -> None:
        if type(value) is not dict:
            raise type_misfit("dict", value)
        for name in required:
            if name not in value:
                raise Misfit(f"the key {name!r}", "a dict without it")
        for name, item in value.items():
            if name not in known:
                raise Misfit("one of the keys " + ", ".join(known), "another key")
            try:
                known[name](item)
            except Misfit as misfit:
                raise misfit.within(f".{name}") from None

    return check


def _union(table: Mapping[type[Any], Check]) -> Check:
    expected = " | ".join("None" if cls is type(None) else cls.__name__ for cls in table)

    def check(value: Any) -> None:
        member = table.get(type(value))
        if member is None:
            raise type_misfit(expected, value)
        member(value)

    return check


def _sized(shape: Any, check: Check) -> Check:
    """The check of a collection, and of the lengths that ``msgspec.Meta`` allows it."""
    if not constraints_of(shape):
        return check
    low, high = shape.min_length or 0, shape.max_length

    def check_both(value: Any) -> None:
        check(value)
        if len(value) < low or (high is not None and len(value) > high):
            raise Misfit(f"from {low} to {'any number of' if high is None else high} items", str(len(value)))

    return check_both
