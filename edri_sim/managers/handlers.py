"""Finding handlers: ``@handles``, and what the annotations of a handler say."""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from edri_sim.errors import DeclarationError
from edri_sim.events import Notification, Request, Tunnel, event_type
from edri_sim.managers.blocking import BlockingTunnel
from edri_sim.routing.tunnel import TunnelEnd

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__edri_handles__"
OBSERVES = "__edri_observes__"
"""The mark of observers: see :mod:`edri_sim.managers.observing`."""


def handles(function: F) -> F:
    """Mark a method as the handler of the event type that its one parameter is annotated with.

    A method of a :class:`Manager` or a :class:`Worker`, ``async def`` or plain ``def`` (which may block). What the
    handler of a ``Request[R]`` returns, an ``R``, is the reply; what it raises reaches the requester as HandlerError.
    The handler of a ``Tunnel[Up, Down]`` takes its end of the tunnel as a second parameter: a ``TunnelEnd[Down, Up]``,
    or in a plain ``def`` a ``BlockingTunnel[Down, Up]``; the tunnel ends when it returns or raises.
    """
    setattr(function, _MARK, True)
    return function


@dataclass(frozen=True, slots=True)
class HandlerSpec:
    """One handler: the method's name, the class of events that it takes, and whether it is ``async def``.

    ``waits`` is False for an ``async def`` without an ``await``: it needs no task, for it cannot be suspended.
    ``tunnels``: it takes its end of a tunnel beside the event.
    """

    name: str
    cls: type[Any]
    is_async: bool
    waits: bool
    tunnels: bool


class HandlerTable:
    """The handlers of one manager or worker class, in order of definition.

    Annotations that could not be resolved when the class was made are tried again by :meth:`resolve`.
    """

    def __init__(self, owner: type[Any], names: Mapping[str, Any]) -> None:
        self._owner = owner
        self._names = dict(names)
        self._marked = marked(owner, _MARK)
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


def marked(owner: type[Any], mark: str) -> dict[str, Callable[..., Any]]:
    """The methods that carry a mark, a base's before a subclass's; an override needs no mark of its own."""
    names = [name for base in reversed(owner.__mro__) for name, value in vars(base).items() if hasattr(value, mark)]
    return {name: getattr(owner, name) for name in dict.fromkeys(names)}


def _spec(owner: type[Any], name: str, function: Callable[..., Any], names: Mapping[str, Any]) -> HandlerSpec:
    where = f"{owner.__qualname__}.{name}"
    parameters = [parameter.name for parameter in inspect.signature(function).parameters.values()]
    if len(parameters) not in (2, 3):
        raise DeclarationError(
            f"{where}: a handler takes self and one event, or one that opens a tunnel and its end of that;"
            f" this one takes {len(parameters)} arguments"
        )
    hints = get_type_hints(function, localns={**vars(owner), **names})
    cls = hints.get(parameters[1])
    if cls is None:
        raise DeclarationError(f"{where}: annotate the parameter {parameters[1]!r} with the event type it handles")
    if not (isinstance(cls, type) and issubclass(cls, Notification | Request | Tunnel)):
        raise DeclarationError(f"{where}: {cls!r} is no Notification, Request or Tunnel, and so cannot be handled")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise DeclarationError(f"{where}: a handler returns one reply; this one is a generator")
    is_async = inspect.iscoroutinefunction(function)
    _check_end(where, cls, parameters[2:], hints, TunnelEnd if is_async else BlockingTunnel)
    _check_return(where, cls, hints)
    return HandlerSpec(name, cls, is_async, _waits(function), issubclass(cls, Tunnel))


def _check_end(
    where: str, cls: type[Any], parameters: list[str], hints: Mapping[str, Any], wanted: type[Any]
) -> None:  # fmt: skip
    """Check the parameter for the end of a tunnel, which only the handler of a tunnel has."""
    if not issubclass(cls, Tunnel):
        if parameters:
            raise DeclarationError(f"{where}: {cls.__name__} opens no tunnel, so its handler takes one event only")
        return
    sends, receives = _travels(cls)
    expected = f"{wanted.__name__}[{sends}, {receives}]"
    if not parameters:
        raise DeclarationError(f"{where}: {cls.__name__} opens a tunnel: add a parameter for its end, a {expected}")
    hint = hints.get(parameters[0])
    given = get_origin(hint) or hint
    if given is not wanted or [_show(argument) for argument in get_args(hint)] not in ([], [sends, receives]):
        shown = "nothing" if hint is None else _show_whole(hint)
        raise DeclarationError(f"{where}: the parameter {parameters[0]!r} is a {expected}, not {shown}")


def _travels(cls: type[Any]) -> tuple[str, str]:
    """What the handler of a tunnel sends and receives, for messages."""
    if not hasattr(cls, "__edri__"):
        return "Down", "Up"
    entry = event_type(cls)
    return _show(entry.down), _show(entry.up)


def _show_whole(hint: Any) -> str:
    arguments = ", ".join(_show(argument) for argument in get_args(hint))
    return f"{_show(get_origin(hint) or hint)}[{arguments}]" if arguments else _show(hint)


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
    if annotation is type(None):
        return "None"
    return str(annotation) if get_args(annotation) else getattr(annotation, "__qualname__", str(annotation))
