"""Every error that edri_sim raises, in one small tree.

The tree tells ours from theirs: :class:`HandlerError` means that the code of a user's handler raised; any other
:class:`RequestError` means that the runtime could not get the event handled, and says why.
"""

from __future__ import annotations

from typing import ClassVar


class EdriError(Exception):
    """The root of all errors of this library."""


class DeclarationError(EdriError, TypeError):
    """An event, handler, worker, pool or topology is declared wrongly; the message names the class and the field."""


class SettingsError(EdriError, ValueError):
    """A setting has a bad value; the message names the setting, where it came from and what it takes."""


class CodecError(EdriError, ValueError):
    """A value does not fit its declared type; the message names the type and the path to the value."""


class MissingExtra(EdriError, ImportError):
    """An optional dependency is not installed; the message names the extra to install."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the extra '{extra}': pip install 'edri-sim[{extra}]'")
        self.extra = extra


class StorageError(EdriError):
    """A host's storage cannot be used, or refused a batch, of which nothing is stored; the message names the file."""


class WorkerBroken(EdriError):
    """A handler raises this to say that its worker is of no more use: it is replaced, as if it had died.

    The event is treated like one whose worker died, too. A manager is stopped and started again.
    """


class ReplayError(EdriError):
    """A replay could not be written as a film; the message says what is missing, or what ffmpeg said."""


class RequestError(EdriError):
    """The base of every way in which a request ends without a reply.

    ``code`` is what travels between processes and nodes; :func:`request_error` turns it back into the class.
    """

    code: ClassVar[str] = "request"

    def details(self) -> dict[str, str]:
        """The keyword arguments, beside the message, that rebuild this error elsewhere."""
        return {}


class NoRoute(RequestError):
    """Nobody provides the type of the request, and nobody did within ``route_grace``."""

    code = "no_route"


class Overloaded(RequestError):
    """Every mailbox that could take the event stayed full until its deadline."""

    code = "overloaded"


class DeadlineExceeded(RequestError, TimeoutError):
    """The deadline of the request passed before a reply came."""

    code = "deadline"


class RequestCancelled(RequestError):
    """The requester cancelled the request; raised inside blocking handler code at its next edri_sim call."""

    code = "cancelled"


class ProviderLost(RequestError):
    """The worker, process or node that had the request died before it replied."""

    code = "provider_lost"


class NodeStopped(RequestError):
    """The node does not run: it was not started, or it stops."""

    code = "stopped"


class HandlerError(RequestError):
    """A user's handler raised.

    ``type_name`` is the qualified name of the exception's class, and ``remote_traceback`` its traceback as text: the
    exception itself never travels.
    """

    code = "handler"

    def __init__(self, message: str, *, type_name: str, remote_traceback: str) -> None:
        super().__init__(message)
        self.type_name = type_name
        self.remote_traceback = remote_traceback

    def details(self) -> dict[str, str]:
        """The exception's class name and traceback, as text."""
        return {"type_name": self.type_name, "remote_traceback": self.remote_traceback}

    def __str__(self) -> str:
        return f"{super().__str__()}\n\nIn the handler:\n{self.remote_traceback}"


class Refused(RequestError):
    """A handler declines a request that it understood, and the message says why.

    Derive from this, with a ``code`` of one's own, what a handler may answer in place of a reply. Unlike other
    exceptions it reaches the requester as itself, from wherever the handler runs, and is no failure to be logged.
    Where nobody imported the class it becomes a plain RequestError.
    """

    code = "refused"

    def __init_subclass__(cls, **keywords: object) -> None:
        super().__init_subclass__(**keywords)
        known = _BY_CODE.get(cls.code, cls)
        if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise DeclarationError(
                f"{cls.__qualname__}: the error {known.__qualname__} has the code {cls.code!r}: "
                "give this class a code of its own"
            )
        _BY_CODE[cls.code] = cls


class BadEvent(RequestError):
    """The event does not fit its own declaration, so that it cannot be sent; the message names the field."""

    code = "bad_event"


class EventTooLarge(BadEvent):
    """The event is larger than a frame between routers may be; the message names both sizes."""

    code = "too_large"


class OutboxFull(RequestError):
    """The outbox for another router had no room for the event, and got none in time; the message names the router."""

    code = "outbox_full"


class TunnelClosed(RequestError):
    """This side of a tunnel was ended, or the other side was: nothing more can be sent, or nothing more comes."""

    code = "tunnel_closed"


class TunnelLost(RequestError):
    """The other side of a tunnel is gone for good, or items were lost on the way to it."""

    code = "tunnel_lost"


class BadReply(RequestError):
    """The handler returned something that does not fit the reply type of the request, or that cannot be encoded."""

    code = "bad_reply"


class UnsupportedFault(EdriError):
    """A fault of a scenario cannot be made to happen in real time; the message names it, and says why."""


class SimulationError(EdriError):
    """The base of what only a simulation can raise."""


class SimulationQuiet(SimulationError):
    """Nothing is left that could make time move, and the main task still waits; the message names who waits."""


class SimulationStalled(SimulationError):
    """Code keeps running at one instant, so that simulated time cannot move; the message names host and callback."""


class HostDown(SimulationError):
    """The simulated host is crashed or stopped, so nothing can be run on it."""


_BY_CODE: dict[str, type[RequestError]] = {
    error.code: error
    for error in (
        RequestError,
        NoRoute,
        Overloaded,
        DeadlineExceeded,
        RequestCancelled,
        ProviderLost,
        NodeStopped,
        HandlerError,
        Refused,
        BadEvent,
        EventTooLarge,
        OutboxFull,
        BadReply,
        TunnelClosed,
        TunnelLost,
    )
}


def request_error(code: str, message: str, details: dict[str, str]) -> RequestError:
    """Rebuild an error from what travelled; an unknown code, from a newer peer, becomes a plain RequestError."""
    return _BY_CODE.get(code, RequestError)(message, **details)
