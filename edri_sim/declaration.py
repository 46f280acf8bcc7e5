"""What is checked when an event is declared, so that a mistake shows where it was made."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from edri_sim.encoding.checks import Misfit
from edri_sim.encoding.compiler import whole_check
from edri_sim.encoding.shapes import UntravellableType, check_shape, shape_of
from edri_sim.errors import DeclarationError

RESERVED_PREFIX = "_"
"""Field names that begin so belong to Python and to this library (``__edri__``, ``__slots__``)."""

MAX_NAME = 200
"""The longest wire name, in characters."""


def describe(value: object) -> str:
    """A short name for a value in a message, without its address."""
    return getattr(value, "__qualname__", None) or type(value).__qualname__


def check_name(cls: type[Any], name: object) -> str:
    """The wire name, if it is one: 1 to 200 printable characters without spaces."""
    if isinstance(name, str) and 0 < len(name) <= MAX_NAME and name.isprintable() and " " not in name:
        return name
    raise DeclarationError(
        f"{cls.__qualname__}: a wire name has 1 to {MAX_NAME} printable characters and no spaces, unlike {name!r}"
    )


def explain(cls: type[Any], error: Exception) -> DeclarationError:
    """Why a class could not become a dataclass; a default that all events would share is told with its field."""
    for name in inspect.get_annotations(cls):
        if f"for field {name} " in str(error):
            default = vars(cls)[name]
            shared = default.default if isinstance(default, dataclasses.Field) else default
            kind = type(shared).__name__
            return DeclarationError(
                f"{cls.__qualname__}.{name}: a {kind} as default would be shared by all events: "
                f"use dataclasses.field(default_factory={kind})"
            )
    return DeclarationError(f"{cls.__qualname__} cannot be a frozen, slotted dataclass: {error}")


def resolve_annotations(cls: type[Any], names: dict[str, Any]) -> None:
    """Turn the annotations of a dataclass into types; ``names`` are the locals of the scope that declares it."""
    own = inspect.get_annotations(cls)
    resolved = {name: resolve_type(cls, f"{cls.__qualname__}.{name}", own[name], names) for name in own}
    for name, annotation in resolved.items():
        if isinstance(annotation, dataclasses.InitVar):
            raise DeclarationError(f"{cls.__qualname__}.{name}: an InitVar is gone when the event travels: use a field")
    cls.__annotations__ = resolved
    for field in dataclasses.fields(cls):
        owner = next(base for base in cls.__mro__ if field.name in inspect.get_annotations(base))
        field.type = resolve_type(owner, f"{cls.__qualname__}.{field.name}", field.type, names | {cls.__name__: cls})


def resolve_type(cls: type[Any], where: str, annotation: Any, names: dict[str, Any]) -> Any:
    """One annotation of a class as a type; ``where`` tells in messages which one it is."""
    nested = {name: member for name, member in vars(cls).items() if isinstance(member, type)}
    scope = names | nested | {cls.__name__: cls}
    holder = type(cls.__name__, (), {"__annotations__": {"it": annotation}})
    module = sys.modules.get(cls.__module__)
    try:
        hints = get_type_hints(holder, globalns=vars(module) if module else {}, localns=scope, include_extras=True)
    except NameError as error:
        raise DeclarationError(
            f"{where}: the annotation names {error.name!r}, which is not defined here: "
            "define or import it first (outside `if TYPE_CHECKING:`)"
        ) from error
    except (TypeError, SyntaxError, AttributeError) as error:
        raise DeclarationError(f"{where}: the annotation is not a type: {error}") from error
    return hints["it"]


def check_fields(cls: type[Any]) -> None:
    """Check the name, the type and the default of every field."""
    for field in dataclasses.fields(cls):
        where = f"{cls.__qualname__}.{field.name}"
        if field.name.startswith(RESERVED_PREFIX):
            raise DeclarationError(
                f"{where}: names that begin with {RESERVED_PREFIX!r} are reserved: "
                f"call the field {field.name.strip('_') or 'otherwise'!r}"
            )
        check_travels(where, field.type, declared=cls)
        _check_default(where, field)


def check_travels(where: str, annotation: Any, declared: type[Any] | None = None) -> None:
    """Refuse a type that cannot be encoded, or that says nothing of what is in it; not so the class under check."""
    try:
        check_shape(shape_of(annotation), seen=declared)
    except UntravellableType as error:
        raise DeclarationError(f"{where}{error.path}: {error}") from error


def _check_default(where: str, field: dataclasses.Field[Any]) -> None:
    if field.default is dataclasses.MISSING:
        return
    try:
        whole_check(shape_of(field.type))(field.default)
    except Misfit as misfit:
        raise DeclarationError(f"{where}: the default does not fit{misfit}") from misfit


def bound_arguments(cls: type[Any], root: type[Any]) -> tuple[Any, ...] | None:
    """What ``cls`` and its bases give as type arguments to the generic ``root``; None if that is left open."""
    for alias in vars(cls).get("__orig_bases__", cls.__bases__):
        base = get_origin(alias) or alias
        if base is Generic or not issubclass(base, root):
            continue
        given = get_args(alias)
        if base is not root:
            inner = bound_arguments(base, root)
            given = _substitute(inner, dict(zip(base.__parameters__, given, strict=False))) if inner else ()
        return given or None
    return None


def _substitute(arguments: tuple[Any, ...], bound: dict[Any, Any]) -> tuple[Any, ...]:
    return tuple(_replace(argument, bound) for argument in arguments)


def _replace(argument: Any, bound: dict[Any, Any]) -> Any:
    if isinstance(argument, TypeVar):
        return bound.get(argument, argument)
    parameters = getattr(argument, "__parameters__", ())
    return argument[tuple(bound.get(item, item) for item in parameters)] if parameters else argument
