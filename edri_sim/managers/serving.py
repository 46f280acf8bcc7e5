"""The handler's side of a tunnel: its end, joined to the opener's, and what the handler is called with."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from edri_sim.codec import codec_for
from edri_sim.envelope import Job, current
from edri_sim.errors import TunnelClosed
from edri_sim.managers.blocking import BlockingTunnel
from edri_sim.routing.tunnel import TunnelEnd

Body = Callable[[Any], Any]


def serve(job: Job, *, encoded: bool = False) -> None:
    """A handler begins on a tunnel: give its job an end that is joined to the opener's.

    ``encoded``: what passes goes through the codec, even between ends on one loop.
    """
    envelope = job.envelope
    entry, entrance = envelope.type, envelope.tunnel
    end: TunnelEnd[Any, Any] = TunnelEnd(
        envelope.subject, codec_for(entry.down), codec_for(entry.up), encoded=encoded
    )  # fmt: skip
    job.tunnels = [end]
    end.join(entrance.accept(end, end.window), entrance.window)


def served() -> TunnelEnd[Any, Any]:
    """The end of the tunnel that the running handler serves."""
    job = current.get()
    assert job is not None
    assert job.tunnels
    end: TunnelEnd[Any, Any] = job.tunnels[0]
    return end


def on_tunnel(function: Callable[[Any, Any], Coroutine[Any, Any, Any]], wrap: Callable[[Any], Any]) -> Body:
    """An ``async def`` handler of tunnels, as a function of the event alone; ``wrap`` makes what it gets of its end."""

    async def body(event: Any) -> None:
        end = served()
        try:
            await function(event, wrap(end))
        except TunnelClosed:
            if not end.left:
                raise
            # The opener has left, and with it whoever would have read: that is an end like any other.

    return body


def on_tunnel_plain(function: Callable[[Any, Any], Any]) -> Body:
    """The same of a plain ``def`` handler, which gets a :class:`BlockingTunnel`."""

    def body(event: Any) -> None:
        end = served()
        try:
            function(event, BlockingTunnel(end))
        except TunnelClosed:
            if not end.left:
                raise

    return body


def finish(job: Job, *, failed: bool) -> None:
    """The handler has ended, and with it the tunnel that it served, and those that it had opened."""
    for tunnel in tuple(job.tunnels or ()):
        tunnel.finish(failed=failed)
