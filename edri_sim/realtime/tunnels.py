"""Tunnels between a node and the child processes of its pools: messages over their socket."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from edri_sim.envelope import SETTLED, Envelope
from edri_sim.errors import RequestError
from edri_sim.realtime.messages import Answered, OpenCall, Refused, TunnelCredit, TunnelEnded, TunnelItem, TunnelLimit
from edri_sim.routing.opening import Starter
from edri_sim.routing.tunnel import Far
from edri_sim.routing.wire import ServerWire, Wire

Send = Callable[[Any], None]


class MessageFar:
    """The other end of the socket, for one tunnel: see :class:`~edri_sim.routing.tunnel.Far`."""

    encoded = True

    def __init__(self, send: Send, tunnel: int, largest: float = math.inf) -> None:
        self.largest = largest
        self._send = send
        self._tunnel = tunnel

    def payload(self, data: bytes) -> None:
        """See :class:`~edri_sim.routing.tunnel.Far`."""
        self._send(TunnelItem(self._tunnel, data))

    def credit(self, count: int) -> None:
        """See :class:`~edri_sim.routing.tunnel.Far`."""
        self._send(TunnelCredit(self._tunnel, count))

    def ended(self, how: int) -> None:
        """See :class:`~edri_sim.routing.tunnel.Far`."""
        self._send(TunnelEnded(self._tunnel, how))


class Wires:
    """The tunnels that pass one socket, by number: that of the job that serves it, or of the call below 0."""

    def __init__(self) -> None:
        self._wires: dict[int, Wire] = {}

    def add(self, tunnel: int, wire: Wire) -> None:
        """A tunnel that begins."""
        self._wires[tunnel] = wire

    def drop(self, tunnel: int) -> None:
        """A tunnel is over; what still comes of it is dropped."""
        self._wires.pop(tunnel, None)

    def item(self, message: TunnelItem) -> None:
        """An item came."""
        if (wire := self._wires.get(message.tunnel)) is not None:
            wire.payload(message.payload)

    def credit(self, message: TunnelCredit) -> None:
        """Credit came."""
        if (wire := self._wires.get(message.tunnel)) is not None:
            wire.credit(message.count)

    def ended(self, message: TunnelEnded) -> None:
        """The other side sends no more."""
        if (wire := self._wires.get(message.tunnel)) is not None:
            wire.ended(message.how)


class Carried:
    """A tunnel that a child has opened, as the node sees it: where its end goes, and the child's entrance to it.

    ``over`` is called once it has ended.
    """

    def __init__(self, starter: Starter, send: Send, call: OpenCall, event: Any, over: Callable[[], None]) -> None:
        self._starter = starter
        self._send = send
        self._call = call.call
        self._over = over
        self._done = False
        self.wire = ServerWire(MessageFar(send, -call.call), call.window, self._opened)
        self.window = self.wire.window
        self.largest = self.wire.largest
        self.envelope: Envelope = starter.start_tunnel(event, self, call.timeout)
        starter.place(self.envelope)

    def _opened(self) -> None:
        self._starter.hold(self.envelope)

    def accept(self, near: Far, window: int) -> Far:
        """See :class:`~edri_sim.routing.tunnel.Entrance`; the child learns first what its items may have."""
        if near.largest < math.inf:
            self._send(TunnelLimit(self._call, near.largest))
        return self.wire.accept(near, window)

    def abort(self) -> None:
        """Nobody in the child has it any more."""
        self._done = True
        if self.envelope.state != SETTLED:
            self._starter.cancel_own(self.envelope)

    # As a reply address

    def done(self) -> bool:
        """Whether the tunnel is over."""
        return self._done

    def set_result(self, _: Any, /) -> None:
        """Its handler has returned."""
        self._end(Answered(self._call, b""))

    def set_exception(self, exception: BaseException, /) -> None:
        """Its handler has raised, or is gone."""
        error = exception if isinstance(exception, RequestError) else RequestError(str(exception))
        self._end(Refused(self._call, error.code, error.args[0], error.details()))

    def _end(self, message: Answered | Refused) -> None:
        self._done = True
        self._over()
        self._send(message)
