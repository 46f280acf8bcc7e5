"""Checks of values against their declared types, compiled once for each type.

msgspec validates what it decodes and trusts what it encodes. These checks close the gap: the whole check runs before
encoding, and the check of floats, which msgspec takes in any state, also after decoding.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite, isinf
from typing import Annotated, Any, get_origin
from uuid import UUID  # noqa: TID251 - the class of values that events hold; none is made here

import msgspec
from msgspec import inspect
from msgspec.inspect import Type

from edri_sim.encoding.shapes import constraints_of, plain

Check = Callable[[Any], None]
Leaf = Callable[[Any, bool], Check | None]
"""Makes the check of a scalar shape; the flag tells whether NaN and infinity are allowed."""

Sure = Callable[[Any], bool]
"""True if all items of a collection fit for certain."""

INT_MIN, INT_MAX = -(2**63), 2**64 - 1


class Misfit(Exception):
    """A value does not fit its type; the path to it is put together while the error rises."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(expected, found)
        self.expected = expected
        self.found = found
        self.steps: list[str] = []

    def within(self, step: str) -> Misfit:
        """The same misfit, seen from one level further out."""
        self.steps.append(step)
        return self

    def __str__(self) -> str:
        return f"{''.join(reversed(self.steps))}: expected {self.expected}, got {self.found}"


def type_misfit(expected: str, value: object) -> Misfit:
    """The misfit of a value of the wrong type; it names the type, never the value, for that may be private."""
    return Misfit(expected, type(value).__name__)


PYTHON_TYPES: dict[type[Type], tuple[type[Any], ...]] = {
    inspect.NoneType: (type(None),),
    inspect.BoolType: (bool,),
    inspect.IntType: (int,),
    inspect.FloatType: (float, int),
    inspect.StrType: (str,),
    inspect.BytesType: (bytes,),
    inspect.DateTimeType: (datetime,),
    inspect.DateType: (date,),
    inspect.TimeType: (time,),
    inspect.TimeDeltaType: (timedelta,),
    inspect.UUIDType: (UUID,),
    inspect.DecimalType: (Decimal,),
    inspect.ListType: (list,),
    inspect.SetType: (set,),
    inspect.FrozenSetType: (frozenset,),
    inspect.VarTupleType: (tuple,),
    inspect.TupleType: (tuple,),
    inspect.DictType: (dict,),
    inspect.TypedDictType: (dict,),
}
"""The exact classes whose instances fit a shape; a subclass would arrive as its base, so it does not fit."""


def python_types(shape: Any) -> tuple[type[Any], ...]:
    """The exact classes of the values of a plain shape."""
    if isinstance(shape, inspect.LiteralType):
        return tuple(type(value) for value in shape.values)
    known = PYTHON_TYPES.get(type(shape))
    return known if known is not None else (get_origin(shape.cls) or shape.cls,)


def _exact(shape: Any, _: bool) -> Check:
    (cls,) = python_types(shape)
    name = "None" if cls is type(None) else cls.__name__

    def check(value: Any) -> None:
        if type(value) is not cls:
            raise type_misfit(name, value)

    return check


def _check_text(value: Any) -> None:
    if type(value) is not str:
        raise type_misfit("str", value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Misfit("text of valid Unicode", "a str with a lone surrogate") from None


def _check_int(value: Any) -> None:
    if type(value) is not int:
        raise type_misfit("int", value)
    if not INT_MIN <= value <= INT_MAX:
        raise Misfit("an int from -2**63 to 2**64-1", f"one of {value.bit_length()} bits")


def _check_any_float(value: Any) -> None:
    if type(value) is not float:
        if type(value) is not int:
            raise type_misfit("float", value)
        _check_int(value)


def _check_finite_float(value: Any) -> None:
    if type(value) is not float:
        _check_any_float(value)
    elif not isfinite(value):
        raise Misfit("a finite float", repr(value))


def _check_json_float(value: Any) -> None:
    if isinf(value):
        raise Misfit("a float that JSON can write", repr(value))


def _check_finite_decimal(value: Any) -> None:
    if type(value) is not Decimal:
        raise type_misfit("Decimal", value)
    if not value.is_finite():
        raise Misfit("a finite Decimal", str(value))


def _sure_of(cls: type[Any]) -> Sure:
    return lambda values: set(map(type, values)) == {cls}


def _sure_of_ints(values: Any) -> bool:
    if set(map(type, values)) != {int}:
        return False
    try:
        array("q", values)
    except OverflowError:
        return False
    return True


def _sure_of_finite_floats(values: Any) -> bool:
    # The sum of finite floats may overflow, but no sum that holds NaN or infinity is finite.
    return set(map(type, values)) == {float} and isfinite(sum(values))


def sure_of_all(shape: Type) -> Sure | None:
    """What tells fast, for the commonest scalars, that all items of a collection fit; if not sure, check each one."""
    inner, nan = plain(shape)
    if constraints_of(inner) or nan:
        return None
    return _SURE.get(type(inner))


def _literal(shape: Any, _: bool) -> Check:
    allowed = {(type(value), value): None for value in shape.values}
    expected = "one of " + ", ".join(map(repr, shape.values))

    def check(value: Any) -> None:
        if type(value) not in types or (type(value), value) not in allowed:
            raise Misfit(expected, "another value" if type(value) in types else type(value).__name__)

    types = dict.fromkeys(type(value) for value in shape.values)
    return check


STRICT: dict[type[Type], Leaf] = {
    **dict.fromkeys(
        (
            inspect.NoneType,
            inspect.BoolType,
            inspect.BytesType,
            inspect.DateTimeType,
            inspect.DateType,
            inspect.TimeType,
            inspect.TimeDeltaType,
            inspect.UUIDType,
            inspect.EnumType,
        ),
        _exact,
    ),
    inspect.IntType: lambda _shape, _nan: _check_int,
    inspect.StrType: lambda _shape, _nan: _check_text,
    inspect.FloatType: lambda _shape, nan: _check_any_float if nan else _check_finite_float,
    inspect.DecimalType: lambda _shape, _nan: _check_finite_decimal,
    inspect.LiteralType: _literal,
}
"""For values that a program made: everything is checked."""

DECODED: dict[type[Type], Leaf] = {
    inspect.FloatType: lambda _shape, nan: None if nan else _check_finite_float,
    inspect.DecimalType: STRICT[inspect.DecimalType],
}
"""For values that msgspec decoded: what it lets pass."""

FOR_JSON: dict[type[Type], Leaf] = {
    inspect.FloatType: lambda _shape, nan: _check_json_float if nan else None,
}
"""For values that passed STRICT: what JSON cannot write."""


_SURE: dict[type[Type], Sure] = {
    inspect.IntType: _sure_of_ints,
    inspect.FloatType: _sure_of_finite_floats,
    inspect.BoolType: _sure_of(bool),
    inspect.BytesType: _sure_of(bytes),
}


def constrained(shape: Type, check: Check) -> Check:
    """The check of a scalar, and of the constraints that ``msgspec.Meta`` puts on it."""
    constraints = constraints_of(shape)
    if not constraints:
        return check
    wanted: Any = Annotated[python_types(shape)[0], msgspec.Meta(**constraints)]

    def check_both(value: Any) -> None:
        check(value)
        try:
            msgspec.convert(value, wanted)
        except msgspec.ValidationError as error:
            expected = str(error).removeprefix("Expected ").replace("`", "")
            raise Misfit(expected, "another value") from None

    return check_both
