"""Whether two routers mean the same by an event: fingerprints, schemas, and what does not fit."""

from __future__ import annotations

from typing import Any

from edri_sim.codec import compatible, fingerprint_of
from edri_sim.events import EventType, TypeTable
from edri_sim.links.interest import Own

EVENT, REPLY = "event", "reply"


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
        if REPLY in own.schema:
            replies = compatible(theirs.get(REPLY), own.schema[REPLY])  # type: ignore[arg-type]
            problems += tuple(f"the reply: {problem}" for problem in replies)
        return "; ".join(problems)[:1_000]


def _schemas(entry: EventType) -> dict[str, Any]:
    schemas: dict[str, Any] = {EVENT: entry.codec.schema}
    if entry.kind == "request":
        schemas[REPLY] = entry.reply_codec.schema
    return schemas
