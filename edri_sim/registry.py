"""Which event types exist: the registry of a process, and the table that a started node keeps of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from edri_sim.codec import Codec, codec_for
from edri_sim.errors import DeclarationError

Kind = Literal["notification", "request", "tunnel"]
Delivery = Literal["reliable", "latest"]
Ack = Literal["received", "handled"]


@dataclass(frozen=True, slots=True)
class EventType:
    """What the runtime knows of one event class; the class carries it as ``__edri__``.

    ``reply`` is set for a request, ``up`` and ``down`` for a tunnel, and each is None for the other kinds (a reply of
    None is ``type(None)``).
    """

    name: str
    cls: type[Any]
    kind: Kind
    reply: Any = None
    up: Any = None
    down: Any = None
    delivery: Delivery = "reliable"
    ack: Ack = "received"
    idempotent: bool = False

    @property
    def codec(self) -> Codec[Any]:
        """The codec of the event, made on first use."""
        return codec_for(self.cls)

    @property
    def reply_codec(self) -> Codec[Any]:
        """The codec of the reply of a request, made on first use.

        Raises:
            DeclarationError: the event is not a request.
        """
        if self.kind != "request":
            raise DeclarationError(f"{self.name} is a {self.kind}, and only a request has a reply")
        return codec_for(self.reply)


def event_type(event: object) -> EventType:
    """The :class:`EventType` of an event or of an event class.

    Raises:
        DeclarationError: it is no event, or a subclass of one that lacks its own ``@event``.
    """
    cls = event if isinstance(event, type) else type(event)
    entry: EventType | None = getattr(cls, "__edri__", None)
    if entry is None and issubclass(cls, type):
        raise DeclarationError("a class is not an event: publish an object of it, such as Resized('cat.jpg')")
    if entry is None:
        raise DeclarationError(
            f"{place(cls)} is not an event: derive it from Notification, Request[R] or Tunnel[Up, Down] "
            "and decorate it with @event"
        )
    if entry.cls is not cls:
        raise DeclarationError(f"{place(cls)} derives from the event {entry.name} but lacks its own @event")
    return entry


class Registry:
    """The event types of a process by wire name, in the order in which they were first declared."""

    def __init__(self) -> None:
        self._by_name: dict[str, EventType] = {}

    def __repr__(self) -> str:
        return f"<Registry of {len(self._by_name)} event types>"

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __len__(self) -> int:
        return len(self._by_name)

    def add(self, entry: EventType) -> None:
        """Register an event type, or replace the earlier definition of the same class.

        Raises:
            DeclarationError: another class has the wire name.
        """
        known = self._by_name.get(entry.name)
        if known is not None and place(known.cls) != place(entry.cls):
            raise DeclarationError(
                f"two event classes are named {entry.name!r}: {place(known.cls)} and {place(entry.cls)}; "
                "give one of them another wire name with @event(name=...)"
            )
        self._forget_renamed(entry)
        self._by_name[entry.name] = entry

    def _forget_renamed(self, entry: EventType) -> None:
        former = [
            name for name, other in self._by_name.items() if name != entry.name and place(other.cls) == place(entry.cls)
        ]
        for name in former:
            del self._by_name[name]

    def snapshot(self) -> TypeTable:
        """What is registered now, for a node that starts."""
        return TypeTable(tuple(self._by_name.values()))


class TypeTable:
    """The event types that one started node knows, whatever is declared again afterwards.

    ``by_name`` and ``by_class`` are for reading only.
    """

    __slots__ = ("by_class", "by_name")

    def __init__(self, entries: tuple[EventType, ...]) -> None:
        self.by_name: dict[str, EventType] = {entry.name: entry for entry in entries}
        self.by_class: dict[type[Any], EventType] = {entry.cls: entry for entry in entries}

    def __repr__(self) -> str:
        return f"<TypeTable of {len(self.by_name)} event types>"

    def resolve(self, cls: type[Any]) -> EventType:
        """The type of an event class; a class declared after the node started is added.

        Raises:
            DeclarationError: the class is no event, or the node knows another class under its wire name.
        """
        entry = self.by_class.get(cls)
        return entry if entry is not None else self._admit(event_type(cls))

    def named(self, name: str) -> EventType:
        """The type of a wire name.

        Raises:
            DeclarationError: the node knows no event of this name.
        """
        entry = self.by_name.get(name)
        if entry is None:
            raise DeclarationError(f"the node knows no event {name!r}: import its module before the node starts")
        return entry

    def _admit(self, entry: EventType) -> EventType:
        if entry.name in self.by_name:
            raise DeclarationError(
                f"the event {entry.name} ({place(entry.cls)}) is not the class that the node started with: "
                "it was redefined since; restart the node"
            )
        self.by_name[entry.name] = entry
        self.by_class[entry.cls] = entry
        return entry

    def concrete(self, base: type[Any]) -> tuple[EventType, ...]:
        """Every event type that is ``base`` or derives from it, in order of registration."""
        return tuple(entry for entry in self.by_name.values() if issubclass(entry.cls, base))


def place(cls: type[Any]) -> str:
    """Where a class is defined: its module and qualified name, which a re-run notebook cell keeps."""
    return f"{cls.__module__}.{cls.__qualname__}"


registry = Registry()
