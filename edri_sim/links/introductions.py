"""Who at a switch has to do with whom: what one sends and another wants, and what was said between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from edri_sim.links.frames import BadFrame, Presence, Seek, Sought, Watch, encode
from edri_sim.links.interest import MOST_TYPES
from edri_sim.links.stream import FrameStream
from edri_sim.names import NAME

MOST_WATCHED = 50_000
"""Nodes whose coming and going one node is told of: beyond them, those that were named first are forgotten."""


class Guest:
    """What the introductions keep of one node that is present."""

    def __init__(self) -> None:
        self.sends: dict[str, None] = {}
        self.wants: dict[str, None] = {}
        self.watches: dict[str, None] = {}
        """The nodes whose coming and going it is told of, present or not."""


class Visitor(Protocol):
    """A connection of a node."""

    node: str
    incarnation: int
    guest: Guest
    stream: FrameStream


class Introductions:
    """Tells each node of those that it has to do with, and of no others: so a fabric costs what is done in it.

    That two have to do with each other is seen from what they seek, and from the first frame between them. ``present``
    are the nodes of the switch by name.
    """

    def __init__(self, present: Mapping[str, Visitor]) -> None:
        self._present = present
        self._watchers: dict[str, dict[Visitor, None]] = {}
        self._senders: dict[str, dict[Visitor, None]] = {}
        self._wanters: dict[str, dict[Visitor, None]] = {}

    def came(self, visitor: Visitor) -> None:
        """A node is present from now on: those who watch for it are told."""
        self._tell(visitor, Presence(visitor.node, visitor.incarnation, True))

    def went(self, visitor: Visitor, *, left: bool) -> None:
        """A node is gone; ``left``: it had said goodbye."""
        guest = visitor.guest
        _move(self._senders, visitor, guest.sends, {})
        _move(self._wanters, visitor, guest.wants, {})
        _move(self._watchers, visitor, guest.watches, {})
        self._tell(visitor, Presence(visitor.node, visitor.incarnation, False, left))
        if left:  # Nobody expects it back, and names that come once must not add up.
            for watcher in self._watchers.pop(visitor.node, ()):
                del watcher.guest.watches[visitor.node]

    def _tell(self, about: Visitor, presence: Presence) -> None:
        watchers = self._watchers.get(about.node)
        if watchers:
            frame = encode(presence)
            for watcher in watchers:
                watcher.stream.send(frame)

    def seek(self, visitor: Visitor, seek: Seek) -> None:
        """A node says what it sends and wants. Raises BadFrame."""
        for types in (seek.sends, seek.wants):
            if len(types) > MOST_TYPES:
                raise BadFrame("too_many_types", f"node {visitor.node!r} names {len(types)} types: {MOST_TYPES} may be")
        guest, sends, wants = visitor.guest, dict.fromkeys(seek.sends), dict.fromkeys(seek.wants)
        met = [*_new(guest.sends, sends, self._wanters), *_new(guest.wants, wants, self._senders)]
        _move(self._senders, visitor, guest.sends, sends)
        _move(self._wanters, visitor, guest.wants, wants)
        guest.sends, guest.wants = sends, wants
        for other in met:
            self.acquaint(visitor, other)
        visitor.stream.send(encode(Sought(len(seek.sends))))

    def watch(self, visitor: Visitor, watch: Watch) -> None:
        """A node says whom it has to do with. Raises BadFrame."""
        for name in watch.nodes:
            if not NAME.fullmatch(name):
                raise BadFrame("bad_name", f"node {visitor.node!r} watches for {name!r}, which is no name of a node")
            self._watch(visitor, name)

    def acquaint(self, one: Visitor, other: Visitor) -> None:
        """Two nodes have to do with each other: each is told of the other, now and as it comes and goes."""
        if one is not other:
            self._watch(one, other.node)
            self._watch(other, one.node)

    def _watch(self, visitor: Visitor, name: str) -> None:
        watches = visitor.guest.watches
        if name in watches:
            return
        if len(watches) >= MOST_WATCHED:
            first = next(iter(watches))
            del watches[first]
            _move(self._watchers, visitor, {first: None}, {})
        watches[name] = None
        self._watchers.setdefault(name, {})[visitor] = None
        other = self._present.get(name)
        if other is not None:
            visitor.stream.send(encode(Presence(name, other.incarnation, True)))


def _new(before: dict[str, None], now: dict[str, None], others: dict[str, dict[Visitor, None]]) -> dict[Visitor, None]:
    """Those who have to do with the types that were not named before."""
    return {other: None for type_ in now if type_ not in before for other in others.get(type_, ())}


def _move(
    index: dict[str, dict[Visitor, None]], visitor: Visitor, before: dict[str, None], now: dict[str, None]
) -> None:
    """Have a node under the keys that it names now, and no others."""
    for key in before:
        if key not in now:
            entry = index[key]
            del entry[visitor]
            if not entry:
                del index[key]
    for key in now:
        if key not in before:
            index.setdefault(key, {})[visitor] = None
