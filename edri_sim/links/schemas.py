"""Whether two routers mean the same by an event: fingerprints, schemas, and what does not fit."""

from __future__ import annotations

from typing import Any

from edri_sim.codec import codec_for, compatible, fingerprint_of
from edri_sim.events import EventType, TypeTable
from edri_sim.links.interest import Own

EVENT, REPLY, UP, DOWN = "event", "reply", "up", "down"

_COMES = {REPLY: "reply", DOWN: "items that come"}
_GOES = {UP: "items that go"}


class Schemas:
    """The schemas of the types that one node knows, each worked out once."""

    def __init__(self, types: TypeTable) -> None:
        self._types = types
        self._own: dict[str, Own] = {}

    def own(self, type_: str) -> Own | None:
        """The fingerprint and the schemas of a type here; None if the node does not know it."""
        entry = self._types.by_name.get(type_)
        if entry is None:
            return None
        found = self._own.get(type_)
        if found is None:
            schemas = _schemas(entry)
            found = self._own[type_] = Own(fingerprint_of(schemas), schemas)
        return found

    def misfit(self, type_: str, theirs: Any) -> str:
        """What a router with the schemas ``theirs`` would not understand of our events, or we of its replies.

        Empty if all is well.
        """
        own = self.own(type_)
        if own is None or not isinstance(theirs, dict):
            return "its schema cannot be read"
        problems = compatible(own.schema[EVENT], theirs.get(EVENT))  # type: ignore[arg-type]  # checked by compatible
        for role, sent, wanted in _directions(own.schema, theirs):
            problems += tuple(f"the {role}: {problem}" for problem in compatible(sent, wanted))
        return "; ".join(problems)[:1_000]


def _directions(ours: dict[str, Any], theirs: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """What goes along with our event: its name, its schema where it is sent, and its schema where it is wanted."""
    found = [(role, theirs.get(key), ours[key]) for key, role in _COMES.items() if key in ours]
    return [*found, *((role, ours[key], theirs.get(key)) for key, role in _GOES.items() if key in ours)]


def _schemas(entry: EventType) -> dict[str, Any]:
    schemas: dict[str, Any] = {EVENT: entry.codec.schema}
    if entry.kind == "request":
        schemas[REPLY] = entry.reply_codec.schema
    elif entry.kind == "tunnel":
        schemas[UP], schemas[DOWN] = codec_for(entry.up).schema, codec_for(entry.down).schema
    return schemas
