"""Log records that say which node they come from, and when it was there."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from datetime import datetime
from typing import Any, Self


class NodeLog(logging.LoggerAdapter[logging.Logger]):
    """The logger ``edri_sim.<part>`` for one node.

    Every record has the fields ``node`` and ``at``, the host's wall clock in ISO 8601: simulated where time is. What
    ``fields`` and a call's ``extra`` give comes on top. Payloads are never logged.
    """

    def __init__(self, part: str, node: str, now: Callable[[], datetime], **fields: object) -> None:
        super().__init__(logging.getLogger(f"edri_sim.{part}"), {"node": node, **fields})
        self.node = node
        self._now = now

    def of(self, part: str, **fields: object) -> Self:
        """The same node's logger for another part."""
        return type(self)(part, self.node, self._now, **fields)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the fields; called by logging."""
        kwargs["extra"] = {**(self.extra or {}), "at": self._now().isoformat(), **(kwargs.get("extra") or {})}
        return msg, kwargs
