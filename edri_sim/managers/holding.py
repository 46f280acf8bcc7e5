"""What a pool begins while it is to come to rest: only what its running handlers, and those around it, wait for."""

from __future__ import annotations

from collections.abc import Collection

from edri_sim.envelope import Envelope
from edri_sim.routing.mailbox import Mailbox


class Hold:
    """Lets nothing of a mailbox begin but what a running handler of the pools with these ``labels`` awaits."""

    def __init__(self, mailbox: Mailbox, labels: Collection[str]) -> None:
        self._mailbox = mailbox
        self._labels = labels

    def urgent(self) -> list[Envelope]:
        """What is queued and may begin: others can't end before it has ended."""
        return [envelope for envelope in self._mailbox.queue if self._is_awaited(envelope)]

    def advance(self) -> int:
        """Put what may begin before all else; how many events that are."""
        urgent, queue = self.urgent(), self._mailbox.queue
        for envelope in reversed(urgent):
            queue.remove(envelope)
            queue.appendleft(envelope)
        return len(urgent)

    def _is_awaited(self, envelope: Envelope) -> bool:
        """Whether one of those handlers awaits the request, or a request whose handler awaits it in turn."""
        job = envelope.parent
        while job is not None and job.label not in self._labels:
            job = job.envelope.parent
        return job is not None
