"""One direction of a simulated connection: bytes in flight, in order, within the receiver's window."""

from __future__ import annotations

import errno
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edri_sim.simulation.network import Network
    from edri_sim.simulation.transport import SimulatedTransport

FIRST_RETRY, LONGEST_RETRY, RETRIES = 0.2, 120.0, 15
"""Seconds to TCP's first and between its last retransmissions, and how many it makes (Linux: about 924 s in all)."""


class Ending(Enum):
    """How one direction of a connection ends."""

    EOF = "end of stream"
    RESET = "reset"


class Flight:
    """What was written at one instant, on its way: bytes, or an ending."""

    __slots__ = ("due", "ending", "parts", "size")

    def __init__(self, due: float, ending: Ending | None = None) -> None:
        self.due = due
        self.ending = ending
        self.parts: list[bytes] = []
        self.size = 0


class Line:
    """Carries bytes from one transport to the other: delivery at max(last delivery, now + latency), in seconds.

    ``room`` is what the receiver's window still takes, in bytes: it shrinks as bytes leave, and grows as they are read.
    """

    __slots__ = ("_attempt", "_env", "_last", "flights", "latency", "network", "receiver", "room", "sender")

    def __init__(self, network: Network, latency: float, window: int) -> None:
        self.network = network
        self.latency = latency
        self.room = window
        self.flights: deque[Flight] = deque()
        self.sender: SimulatedTransport
        self.receiver: SimulatedTransport
        self._env = network.kernel.env
        self._last = 0.0
        self._attempt = 0

    def send(self, data: bytes) -> None:
        """Put bytes on their way; what is written at one instant travels together."""
        size = len(data)
        self.room -= size
        due = self._env._now + self.latency
        if due < self._last:
            due = self._last
        flights = self.flights
        if flights and flights[-1].due == due and flights[-1].ending is None:
            flight = flights[-1]
        else:
            flight = Flight(due)
            self._launch(flight)
        flight.parts.append(data)
        flight.size += size

    def end(self, ending: Ending) -> None:
        """Put the end of the stream, or a reset, on its way."""
        self._launch(Flight(max(self._env._now + self.latency, self._last), ending))

    def _launch(self, flight: Flight) -> None:
        self.flights.append(flight)
        self._last = flight.due
        receiver = self.receiver
        if receiver.gone is None:
            receiver.loop.deliver_at(flight.due, receiver.arrive, receiver.context)
        else:
            self.network.kernel.call_at(flight.due, self.arrive_nowhere)

    def read(self, size: int) -> None:
        """Note that the receiver has read ``size`` bytes: a sender that waits for room goes on."""
        self.room += size
        self.sender.room_made()

    def redirect(self) -> None:
        """The receiver is gone: what is in flight arrives where nobody is."""
        for flight in self.flights:
            self.network.kernel.call_at(flight.due, self.arrive_nowhere)

    def arrive_nowhere(self) -> None:
        """Answer bytes for a connection that is no more with a reset; a host that is down does not answer."""
        if not self.flights or self.flights.popleft().ending is not None:
            return
        if self._answered():
            self.receiver.outbound.end(Ending.RESET)
        elif not self._attempt:
            self._wait_and_retry()

    def _answered(self) -> bool:
        return self.receiver.gone != "crashed" or self.network.is_up(self.receiver.loop.name)

    def _wait_and_retry(self) -> None:
        delay = min(FIRST_RETRY * 2**self._attempt, LONGEST_RETRY)
        self._attempt += 1
        self.network.kernel.call_at(self._env._now + delay, self._retry)

    def _retry(self) -> None:
        if self.sender.gone is not None:
            return
        if self._answered():
            self.receiver.outbound.end(Ending.RESET)
        elif self._attempt <= RETRIES:
            self._wait_and_retry()
        else:
            name = self.receiver.loop.name
            self.sender.lose(TimeoutError(errno.ETIMEDOUT, f"host '{name}' does not answer"))
