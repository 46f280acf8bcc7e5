"""Events: frozen, slotted dataclasses that are declared with ``@event`` and known by a stable wire name."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any, Generic, TypeVar, dataclass_transform, overload

from edri_sim.declaration import (
    bound_arguments,
    check_fields,
    check_name,
    check_travels,
    describe,
    explain,
    resolve_annotations,
    resolve_type,
)
from edri_sim.errors import DeclarationError
from edri_sim.registry import Ack, Delivery, EventType, Kind, Registry, TypeTable, event_type, registry
from edri_sim.shown import Shown

__all__ = [
    "Ack",
    "Delivery",
    "EventType",
    "Kind",
    "Notification",
    "Registry",
    "Request",
    "Tunnel",
    "TypeTable",
    "event",
    "event_type",
    "registry",
]

R = TypeVar("R", covariant=True)
Up = TypeVar("Up", contravariant=True)
Down = TypeVar("Down", covariant=True)


class Notification(Shown):
    """The base of events that go to every subscriber."""

    __slots__ = ()


class _Bracketed(Shown):
    """Says what belongs into the brackets of a generic base."""

    __slots__ = ()

    def __class_getitem__(cls, given: Any) -> Any:
        try:
            return super().__class_getitem__(given)  # type: ignore[misc]  # Generic's, which comes next
        except TypeError as error:
            types = ", ".join(map(describe, given if isinstance(given, tuple) else (given,)))
            wanted = f"expected {_KINDS[cls][1]}" if cls in _KINDS else str(error)
            raise DeclarationError(f"{cls.__name__}[{types}]: {wanted}") from None


class Request(_Bracketed, Generic[R]):
    """The base of events that one provider answers with an ``R``, or with an error."""

    __slots__ = ()


class Tunnel(_Bracketed, Generic[Up, Down]):
    """The base of events that open a two-way stream: the opener sends ``Up`` items and receives ``Down`` items."""

    __slots__ = ()


E = TypeVar("E", bound="Notification | Request[Any] | Tunnel[Any, Any]")

_KINDS: dict[type[Any], tuple[Kind, str, tuple[str, ...]]] = {
    Notification: ("notification", "Notification", ()),
    Request: ("request", "Request[R]", ("reply",)),
    Tunnel: ("tunnel", "Tunnel[Up, Down]", ("up", "down")),
}
_CHOICES: dict[str, tuple[object, ...]] = {
    "delivery": ("reliable", "latest"),
    "ack": ("received", "handled"),
    "idempotent": (False, True),
}
# What a kind of event leaves to choose; the other options keep their defaults, for they would mean nothing.
_OPTIONS_OF: dict[Kind, tuple[str, ...]] = {
    "notification": ("delivery", "ack"),
    "request": ("ack", "idempotent"),
    "tunnel": (),
}


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field, dataclasses.Field))
def event(cls: type[E], /) -> type[E]: ...


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field, dataclasses.Field))
def event(
    *,
    name: str | None = None,
    delivery: Delivery = "reliable",
    ack: Ack = "received",
    idempotent: bool = False,
) -> Callable[[type[E]], type[E]]: ...


def event(
    cls: type[Any] | None = None,
    /,
    *,
    name: str | None = None,
    delivery: Delivery = "reliable",
    ack: Ack = "received",
    idempotent: bool = False,
) -> Any:
    """Make a subclass of Notification, Request[R] or Tunnel[Up, Down] a frozen, slotted dataclass, and register it.

    Use it bare (``@event``) or with options. ``name`` is the wire name, by default the name of the class.
    ``delivery="latest"`` lets a newer notification push out older ones that wait for a link; ``ack="handled"`` keeps
    the event at its sender until a handler has returned; ``idempotent`` lets the runtime send a request again when
    its provider was lost. Slots make a new class, which replaces the decorated one.

    Raises:
        DeclarationError: the class cannot be an event; the message names the class and the field.
    """
    options = {"delivery": delivery, "ack": ack, "idempotent": idempotent}
    if cls is None:
        return lambda decorated: _declare(decorated, name, options, sys._getframe(1).f_locals)
    return _declare(cls, name, options, sys._getframe(1).f_locals)


def _declare(cls: type[Any], name: str | None, options: dict[str, Any], names: dict[str, Any]) -> type[Any]:
    base = _base_of(cls)
    kind, shape, roles = _KINDS[base]
    _check_options(cls, kind, options)
    made = _make_dataclass(cls)
    resolve_annotations(made, names)
    check_fields(made)
    types = _bind_types(made, base, shape, roles, names)
    wire_name = check_name(made, made.__name__ if name is None else name)
    entry = EventType(wire_name, made, kind, **types, **options)
    registry.add(entry)
    made.__edri__ = entry
    return made


def _base_of(cls: type[Any]) -> type[Any]:
    if not isinstance(cls, type):
        raise DeclarationError(f"@event decorates classes, not {describe(cls)}")
    bases = [base for base in _KINDS if issubclass(cls, base)]
    if not bases:
        raise DeclarationError(
            f"{cls.__qualname__} is not a subclass of Notification, Request[R] or Tunnel[Up, Down]: derive it from one "
            "of them; a type that is only a reply or a field needs no @event: use @dataclass(frozen=True) or "
            "msgspec.Struct"
        )
    if len(bases) > 1:
        shapes = " and ".join(base.__name__ for base in bases)
        raise DeclarationError(f"{cls.__qualname__} derives from {shapes}: an event is of one kind only")
    return bases[0]


def _check_options(cls: type[Any], kind: Kind, options: dict[str, Any]) -> None:
    for option, value in options.items():
        choices = _CHOICES[option]
        if value not in choices:
            allowed = " or ".join(map(repr, choices))
            raise DeclarationError(f"{cls.__qualname__}: @event({option}={value!r}) is unknown: use {allowed}")
        if value != choices[0] and option not in _OPTIONS_OF[kind]:
            raise DeclarationError(f"{cls.__qualname__}: @event({option}={value!r}) means nothing for a {kind}")


def _make_dataclass(cls: type[Any]) -> type[Any]:
    try:
        made = dataclasses.dataclass(frozen=True, slots=True)(cls)
    except (TypeError, ValueError) as error:
        raise explain(cls, error) from error
    _rebind_super(cls, made)
    return made


def _bind_types(
    cls: type[Any], base: type[Any], shape: str, roles: tuple[str, ...], names: dict[str, Any]
) -> dict[str, Any]:
    """The reply type, or the item types, that the class gives to its generic base."""
    if not roles:
        return {}
    arguments = bound_arguments(cls, base)
    if arguments is None or any(isinstance(argument, TypeVar) for argument in arguments):
        raise DeclarationError(
            f"{cls.__qualname__} does not say what it carries back: derive it from {shape} with types in the brackets"
        )
    types = {}
    for role, argument in zip(roles, arguments, strict=True):
        where = f"{cls.__qualname__}: the {role} type"
        types[role] = resolve_type(cls, where, argument, names)
        check_travels(where, types[role])
    return types


def _rebind_super(old: type[Any], new: type[Any]) -> None:
    """Point the methods' ``__class__`` cell to the slotted class, without which ``super()`` fails before 3.14."""
    for member in vars(new).values():
        for cell in _closure(member):
            if _contents(cell) is old:
                cell.cell_contents = new
                return


def _closure(member: object) -> tuple[CellType, ...]:
    inner = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
    return inner.__closure__ or () if isinstance(inner, FunctionType) else ()


def _contents(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return None
