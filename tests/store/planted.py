"""Stores with a fault each, which the checker has to find."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from edri_sim.storing import store, writer
from edri_sim.storing.contents import Record
from edri_sim.storing.draft import Draft
from edri_sim.storing.events import Cause
from edri_sim.storing.journal import Change, Stored
from edri_sim.storing.outcomes import Outcome


class Hasty(Stored):
    """Says that all is written when it has only begun to write."""

    async def commit(self, change: Change) -> None:
        self._commit = asyncio.ensure_future(super().commit(change))


class Forgetful(Draft):
    """Remembers no write."""

    def outcome(self, event_id: str, redelivered: bool) -> Outcome | None:
        return None

    def remember(self, event_id: str, outcome: Outcome) -> None:
        return None


class Public(Draft):
    """Can be read before it is committed."""

    def _change(self, key: str, record: Record | None, cause: Cause) -> None:
        super()._change(key, record, cause)
        self._contents.put(key, record)


PLANTS: dict[str, tuple[Any, str, type[Any]]] = {
    "answers before its commit": (store, "Stored", Hasty),
    "shows what is not committed": (writer, "Draft", Public),
    "makes a repeated write again": (writer, "Draft", Forgetful),
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    with mock.patch.object(*PLANTS[name]):
        yield
