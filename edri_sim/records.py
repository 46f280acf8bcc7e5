"""Loads, faults and services in a file: a table each, whose key ``kind`` names the class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

from edri_sim import service
from edri_sim.errors import DeclarationError
from edri_sim.references import reference_to
from edri_sim.service import Distribution
from edri_sim.toml import Table
from edri_sim.topology import unknown

T = TypeVar("T")

DISTRIBUTIONS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (service.Constant, service.Exponential, service.LogNormal, service.Empirical)
}  # fmt: skip
"""Every distribution by its name in a file."""


def read_record(table: Table, kinds: Mapping[str, type[T]]) -> T:
    """Make what a table says. Raises DeclarationError with its place."""
    name = table.need("kind", str)
    if name not in kinds:
        raise table.error(f"{unknown('kind', name, kinds)}", "kind")
    cls: Any = kinds[name]
    given = {field.name: _READERS[str(field.type)](table, field) for field in fields(cls) if _is_given(table, field)}
    table.done()
    with table.place():
        made: T = cls(**given)
        return made


def _is_given(table: Table, field: Field[Any]) -> bool:
    """Whether the field has to be read: what has a default may be left out."""
    if field.name not in table and field.default is not MISSING:
        table.any(field.name)  # It is known all the same.
        return False
    return True


def read_distribution(table: Table, key: str) -> Distribution | float:
    """Seconds, or a table ``{kind = "LogNormal", mean = 0.05, cv = 0.4}``; 0 without the key."""
    given = table.any(key, 0.0)
    if type(given) in (int, float):
        return float(given)
    if not isinstance(given, dict):
        raise table.error(f"{key}: expected seconds, or a table such as {{kind = 'Exponential', mean = 0.1}}", key)
    found: Distribution = read_record(table.table(key), DISTRIBUTIONS)
    return found


def _needed(kind: type[Any]) -> Callable[[Table, Field[Any]], Any]:
    return lambda table, field: table.need(field.name, kind)


def _read_numbers(table: Table, field: Field[Any]) -> tuple[float, ...]:
    numbers = table.need(field.name, list)
    if not all(type(number) in (int, float) for number in numbers):
        raise table.error(f"{field.name}: expected an array of numbers", field.name)
    return tuple(map(float, numbers))


_READERS: dict[str, Callable[[Table, Field[Any]], Any]] = {
    "str": _needed(str),
    "int": _needed(int),
    "float": _needed(float),
    "float | None": _needed(float),
    "Maker": _needed(str),
    "Distribution | float": lambda table, field: read_distribution(table, field.name),
    "tuple[float, ...]": _read_numbers,
    "Sequence[float]": _read_numbers,
}
"""How a field is read, by its annotation."""


def written_record(thing: Any) -> dict[str, Any]:
    """The table that :func:`read_record` reads, without what is as it is by default.

    Raises DeclarationError for a maker that no module has, such as a lambda.
    """
    table = {"kind": type(thing).__name__}
    for field in fields(thing):
        value = getattr(thing, field.name)
        if value != field.default:
            table[field.name] = _WRITERS.get(str(field.type), _as_it_is)(value)
    return table


def _as_it_is(value: Any) -> Any:
    return value


def written_maker(make: Any) -> str:
    """``module:name`` of a function."""
    return make if isinstance(make, str) else reference_to(make)


def written_distribution(value: Any) -> Any:
    """Seconds, or a table."""
    if isinstance(value, int | float):
        return value
    if isinstance(value, service.Constant):
        return value.value
    if type(value) not in DISTRIBUTIONS.values():
        raise DeclarationError(f"{value!r} can't be written to a file: expected one of {', '.join(DISTRIBUTIONS)}")
    return written_record(value)


_WRITERS: dict[str, Callable[[Any], Any]] = {
    "float": float,
    "float | None": float,
    "Maker": written_maker,
    "Distribution | float": written_distribution,
    "tuple[float, ...]": lambda numbers: list(map(float, numbers)),
    "Sequence[float]": lambda numbers: list(map(float, numbers)),
}
