"""One direction of a simulated connection: bytes in flight, in order, within the receiver's window.

Over a path that nothing disturbs, a flight is one entry on the heap, from sender to receiver: the express. Over links
with jitter, limited bandwidth or a fault, it goes from link to link, may be lost, and is sent again as TCP does.
"""

from __future__ import annotations

import errno
from collections import deque
from math import inf, nextafter
from typing import TYPE_CHECKING

from edri_sim.simulation.flights import Ending, Flight

if TYPE_CHECKING:
    from edri_sim.simulation.handles import Timer
    from edri_sim.simulation.routes import Path
    from edri_sim.simulation.transport import SimulatedTransport

FIRST_RETRY, LONGEST_RETRY, RETRIES = 0.2, 120.0, 15
"""Seconds to TCP's first and between its last retransmissions, and how many it makes (Linux: about 924 s in all)."""

ORPHAN_RETRIES = 8
"""Retransmissions for a connection that its program has closed (Linux: about 102 s in all)."""


class Line:
    """Carries bytes from one transport to the other: delivery at max(last delivery, now + latency), in seconds.

    ``room`` is what the receiver's window still takes, in bytes: it shrinks as bytes leave, and grows as they are read.
    ``back`` is the path of what the receiver says: that it got bytes, and has read them.

    A line is *in doubt* while it has sent something that was not acknowledged, and will not be without being sent
    again; a timer runs then, and what is written waits in ``held`` until one retransmission gets through.
    """

    __slots__ = (
        "_attempt",
        "_back",
        "_credit",
        "_env",
        "_exits",
        "_express",
        "_last",
        "_path",
        "_repeating",
        "_sending_soon",
        "_timer",
        "_unheard",
        "_unheard_at",
        "flights",
        "held",
        "latency",
        "network",
        "receiver",
        "room",
        "sender",
    )

    def __init__(self, sender: SimulatedTransport, receiver: SimulatedTransport, path: Path, back: Path) -> None:
        network = self.network = sender.network
        self.sender = sender
        self.receiver = receiver
        self.latency = path.latency
        self.room = network.window
        self.flights: deque[Flight] = deque()
        self.held: deque[Flight] = deque()
        self._path = path
        self._back = back
        self._env = network.kernel.env
        self._express = path.plain and back.plain
        self._last = 0.0
        self._exits = [0.0] * len(path.hops)
        self._credit = 0
        self._sending_soon = False
        self._attempt = 0
        self._unheard = False  # the receiver has what was sent, but its word of that was lost
        self._unheard_at = inf  # when its last word was lost, of that or of what was read
        self._repeating = False  # what was lost is to be sent again, once the queues have room
        self._timer: Timer | None = None
        if path.hops:
            path.lines[self] = back.lines[self] = None

    # The express --------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Put bytes on their way; what is written at one instant travels together."""
        size = len(data)
        self.room -= size
        if not self._express:
            self._hold(data)
            return
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
        if self._express:
            self._launch(Flight(max(self._env._now + self.latency, self._last), ending))
            return
        if ending is Ending.RESET:
            self.abandon()
        self.held.append(Flight(0.0, ending))
        self._send_soon()

    def _launch(self, flight: Flight) -> None:
        self.flights.append(flight)
        self._last = flight.due
        receiver = self.receiver
        if receiver.gone is None:
            flight.timer = receiver.loop.deliver_at(flight.due, receiver.arrive, receiver.context)
        else:
            flight.timer = self.network.kernel.call_at(flight.due, self.arrive_nowhere)

    def leave_express(self) -> None:
        """Follow what is under way from link to link, from here on."""
        if not self._express:
            return
        self._express = False
        now = self._env._now
        for flight in self.flights:
            flight.on = None
            if flight.due > now:
                assert flight.timer is not None
                flight.timer.cancel()
                self._path.place(flight, self, now)

    def settle(self) -> None:
        """Return to the express, if nothing disturbs the paths any more and all that was sent is there."""
        if self._express or not (self._path.plain and self._back.plain):
            return
        if self.held or self._credit or self._timer is not None or self._under_way():
            return
        if self.receiver.outbound._timer is not None:  # what travels here may tell it what it waits for
            return
        self._express = True
        self._last = self._env._now

    def _under_way(self) -> bool:
        if self._express:
            return any(flight.due > self._env._now for flight in self.flights)
        return any(flight.on is not None for flight in self.flights)

    # From link to link --------------------------------------------------------------------------------------------

    def _hold(self, data: bytes) -> None:
        held, most = self.held, self._path.segment
        for start in range(0, len(data), most):
            piece = data if len(data) <= most else data[start : start + most]
            if not held or held[-1].ending is not None or held[-1].size + len(piece) > most:
                held.append(Flight(0.0))
            held[-1].parts.append(piece)
            held[-1].size += len(piece)
        self._send_soon()

    def _send_soon(self) -> None:
        """Send at the end of this instant, so that what is written at one instant travels together."""
        if not self._sending_soon:
            self._sending_soon = True
            self.network.kernel.call_soon(self._send_held)

    def _send_held(self) -> None:
        self._sending_soon = False
        while self.send_one():
            pass

    def send_one(self) -> bool:
        """Send the first piece that waits, if there is one, the line is not in doubt and the queues have room."""
        return (self._timer is None or self._repeating) and self._depart()

    def _depart(self) -> bool:
        if not self.held:
            return False
        flight = self.held[0]
        full = self._path.full(flight.size)
        if full is not None:
            full.wait(self)
            return False
        self._repeating = False
        self.flights.append(self.held.popleft())
        for hop in self._path.queues:
            hop.book(flight)
        flight.due, flight.hop, flight.on, flight.timer = self._env._now, 0, None, None
        self._path.hops[0].enter(flight, self)
        return flight.on is not None

    def leave_at(self, flight: Flight, when: float) -> None:
        """Let ``flight`` come to the end of the link that it is on at ``when`` (seconds), or after what went before."""
        # Later by the least that there is, so that an option to shuffle what is due at one instant keeps the order.
        when = self._exits[flight.hop] = max(nextafter(self._exits[flight.hop], inf), when)
        flight.timer = self.network.kernel.call_at(when, self._next_hop, flight)

    def _next_hop(self, flight: Flight) -> None:
        assert flight.on is not None
        flight.timer = None
        flight.on.left(flight)
        flight.on = None
        flight.hop += 1
        if flight.hop == len(self._path.hops):
            self._reached(flight)
        elif self._path.stops_at(flight.hop - 1):
            self.lose(flight)
        else:
            self._path.hops[flight.hop].enter(flight, self)

    def _reached(self, flight: Flight) -> None:
        """The receiver's system has it, and says so, even if its program is paused."""
        receiver = self.receiver
        if receiver.gone is not None:
            self.arrive_nowhere()
            return
        receiver.loop.call_soon(receiver.arrive, context=receiver.context)
        if flight.ending is not Ending.RESET:
            self._acknowledge()
            if receiver.outbound._unheard_at <= flight.due:
                receiver.outbound._acknowledged()

    # Loss and retransmission --------------------------------------------------------------------------------------

    def lose(self, flight: Flight) -> None:
        """Hold again what is lost, and what was sent after it, which the receiver cannot use; but no reset."""
        lost: list[Flight] = []
        while not lost or lost[-1] is not flight:
            lost.append(self.flights.pop())
        if not self._is_pointless():
            self.held.extendleft(each for each in lost if each.ending is not Ending.RESET)
        if self.held:
            self._doubt()
        for each in lost:
            self._forget(each)

    def _forget(self, flight: Flight) -> None:
        if flight.timer is not None:
            flight.timer.cancel()
        if flight.on is not None:
            flight.on.drop(flight)
            flight.on = None
        for hop in self._path.queues:
            hop.give_back(flight)

    def _doubt(self) -> None:
        if self._timer is None and not self._is_pointless():
            self._arm()

    def _is_pointless(self) -> bool:
        sender, receiver = self.sender.gone, self.receiver.gone
        return sender == "crashed" or (sender is not None and receiver is not None)

    def _arm(self) -> None:
        delay = min(FIRST_RETRY * 2**self._attempt, LONGEST_RETRY)
        self._timer = self.network.kernel.call_at(self._env._now + delay, self._retry)

    def _retry(self) -> None:
        self._timer = None
        if self._is_pointless():
            self.abandon()
            return
        if self._repeating or self._under_way():
            self._arm()
            return
        self._attempt += 1
        if self._attempt > (RETRIES if self.sender.gone is None else ORPHAN_RETRIES):
            self._give_up()
            return
        self._arm()
        if self.held and not self._unheard:
            self._repeating = True
            self._depart()
        elif self._path.up:
            self.network.kernel.call_at(self._env._now + self._path.delay(), self._probed)

    def _probed(self) -> None:
        if self.receiver.gone is None:
            self._acknowledge()
        else:
            self._refuse()

    def _acknowledge(self) -> None:
        """The receiver's system says what it has, and what was read, if this gets through."""
        if self._back.up:
            self._acknowledged()
            return
        self._unheard, self._unheard_at = True, self._env._now
        self._doubt()

    def _acknowledged(self) -> None:
        self._be_sure()
        if self._credit:
            self.room, self._credit = self.room + self._credit, 0
            self.sender.room_made()
        if self.held:
            self._send_soon()
        self.settle()
        self.receiver.outbound.settle()

    def _be_sure(self) -> None:
        self._attempt = 0
        self._unheard = self._repeating = False
        self._unheard_at = inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self.abandon()
        if self.sender.gone is None:
            name = self.receiver.loop.name
            self.sender.lose(TimeoutError(errno.ETIMEDOUT, f"host '{name}' does not answer"))

    def abandon(self) -> None:
        """Send nothing again: the connection is given up at the sender's end."""
        self.held.clear()
        self._be_sure()

    def detach(self) -> None:
        """Both ends are gone: what becomes of the links is of no interest any more."""
        self._path.lines.pop(self, None)
        self._back.lines.pop(self, None)

    # The receiver -------------------------------------------------------------------------------------------------

    def read(self, size: int) -> None:
        """Note that the receiver has read ``size`` bytes: a sender that waits for room goes on, once it knows."""
        if self._express or self._back.up:
            self.room += size
            self.sender.room_made()
            return
        self._credit += size
        self._unheard_at = self._env._now
        self.starve()

    def starve(self) -> None:
        """The sender has no room: it asks again and again, should the answer have been lost."""
        if self._credit and self.sender.get_write_buffer_size():
            self._doubt()

    def redirect(self) -> None:
        """The receiver is gone: what is in flight arrives where nobody is."""
        for flight in list(self.flights):
            if self._express:
                flight.timer = self.network.kernel.call_at(flight.due, self.arrive_nowhere)
            elif flight.on is None:
                self.arrive_nowhere()

    def arrive_nowhere(self) -> None:
        """Answer bytes for a connection that is no more with a reset; a host that is down does not answer."""
        if self.flights and self.flights.popleft().ending is None:
            self._refuse()
            if self.sender.gone is None:
                self._unheard = True
                self._doubt()

    def _refuse(self) -> None:
        if self.receiver.gone != "crashed" or self.network.is_up(self.receiver.loop.name):
            self.receiver.outbound.end(Ending.RESET)
