"""Finding handlers: ``@handles``, and what the annotations of a handler say."""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar, get_type_hints

from edri_sim.errors import DeclarationError
from edri_sim.events import Notification, Request, event_type

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__edri_handles__"


def handles(function: F) -> F:
    """Mark a method as the handler of the event type that its one parameter is annotated with.

    A method of a :class:`Manager` or a :class:`Worker`, ``async def`` or plain ``def`` (which may block). What the
    handler of a ``Request[R]`` returns, an ``R``, is the reply; what it raises reaches the requester as HandlerError.
    """
    setattr(function, _MARK, True)
    return function


@dataclass(frozen=True, slots=True)
class HandlerSpec:
    """One handler: the method's name, the class of events that it takes, and whether it is ``async def``.

    ``waits`` is False for an ``async def`` without an ``await``: it needs no task, for it cannot be suspended.
    """

    name: str
    cls: type[Any]
    is_async: bool
    waits: bool


class HandlerTable:
    """The handlers of one manager or worker class, in order of definition.

    Annotations that could not be resolved when the class was made are tried again by :meth:`resolve`.
    """

    def __init__(self, owner: type[Any], names: Mapping[str, Any]) -> None:
        self._owner = owner
        self._names = dict(names)
        self._marked = _marked(owner)
        self._specs: dict[type[Any], HandlerSpec] | None = None
        self._nearest: dict[type[Any], HandlerSpec] = {}
        try:
            self.resolve()
        except NameError:
            self._specs = None

    def resolve(self) -> dict[type[Any], HandlerSpec]:
        """The handlers by event class.

        Raises:
            DeclarationError: an annotation is missing or wrong; the message names class and method.
            NameError: an annotation names what does not exist yet.
        """
        if self._specs is None:
            specs: dict[type[Any], HandlerSpec] = {}
            for name, function in self._marked.items():
                spec = _spec(self._owner, name, function, self._names)
                if spec.cls in specs:
                    both = f"{specs[spec.cls].name} and {name}"
                    raise DeclarationError(f"{self._owner.__qualname__}: {both} both handle {spec.cls.__name__}")
                specs[spec.cls] = spec
            self._specs = specs
            self._names.clear()  # They may be a whole notebook, and must not follow the class into a child process.
        return self._specs

    def resolve_at_start(self) -> dict[type[Any], HandlerSpec]:
        """Like :meth:`resolve`, for a node that starts: a name that is still unknown is a DeclarationError."""
        try:
            return self.resolve()
        except NameError as error:
            raise DeclarationError(f"{self._owner.__qualname__}: a handler's annotation: {error}") from error

    def nearest(self, cls: type[Any]) -> HandlerSpec:
        """The handler for an event of ``cls``: the one of the most specific class."""
        spec = self._nearest.get(cls)
        if spec is None:
            specs = self.resolve()
            base = next(base for base in cls.__mro__ if base in specs)
            spec = self._nearest[cls] = specs[base]
        return spec


def caller_names() -> dict[str, Any]:
    """The local names of the function, or module, in which a class is being made."""
    frame: FrameType | None = sys._getframe(1)
    # Each class between Component and the new one may have an __init_subclass__ of its own.
    while frame is not None and frame.f_code.co_name == "__init_subclass__":
        frame = frame.f_back
    return {} if frame is None else dict(frame.f_locals)


def _marked(owner: type[Any]) -> dict[str, Callable[..., Any]]:
    """The methods that carry the mark, a base's before a subclass's; an override needs no mark of its own."""
    names = [name for base in reversed(owner.__mro__) for name, value in vars(base).items() if hasattr(value, _MARK)]
    return {name: getattr(owner, name) for name in dict.fromkeys(names)}


def _spec(owner: type[Any], name: str, function: Callable[..., Any], names: Mapping[str, Any]) -> HandlerSpec:
    where = f"{owner.__qualname__}.{name}"
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 2:
        raise DeclarationError(
            f"{where}: a handler takes self and one event, this one takes {len(parameters)} arguments"
        )
    hints = get_type_hints(function, localns={**vars(owner), **names})
    cls = hints.get(parameters[1].name)
    if cls is None:
        raise DeclarationError(f"{where}: annotate the parameter {parameters[1].name!r} with the event type it handles")
    if not (isinstance(cls, type) and issubclass(cls, Notification | Request)):
        raise DeclarationError(f"{where}: {cls!r} is no Notification or Request, and so cannot be handled")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise DeclarationError(f"{where}: a handler returns one reply; this one is a generator")
    _check_return(where, cls, hints)
    return HandlerSpec(name, cls, inspect.iscoroutinefunction(function), _waits(function))


def _waits(function: Callable[..., Any]) -> bool:
    """Whether a coroutine function has an ``await`` of any kind: each compiles to SEND, from CPython 3.11 on."""
    code = getattr(function, "__code__", None)
    return code is None or any(instruction.opname == "SEND" for instruction in dis.get_instructions(code))


def _check_return(where: str, cls: type[Any], hints: Mapping[str, Any]) -> None:
    if "return" not in hints or not hasattr(cls, "__edri__"):
        return
    returned = hints["return"]
    entry = event_type(cls)
    expected = entry.reply if entry.kind == "request" else type(None)
    if returned in (expected, Any) or _is_subclass(returned, expected):
        return
    raise DeclarationError(
        f"{where}: it is annotated to return {_show(returned)}, but {entry.name} is answered with {_show(expected)}"
    )


def _is_subclass(cls: Any, base: Any) -> bool:
    return isinstance(cls, type) and isinstance(base, type) and issubclass(cls, base) and cls is not bool


def _show(annotation: Any) -> str:
    return getattr(annotation, "__qualname__", str(annotation))
