"""The program of a worker's child process: ``python -m edri_sim.realtime.processes SOCKET LIFELINE``.

The child is a small node: its worker runs in the same slot as on a node's loop, and what its handlers publish goes
to the node over the socket. The lifeline is a pipe that nobody writes to: when it ends, the node is gone, and the
child ends too, however busy it is.
"""

from __future__ import annotations

import asyncio
import logging
import math
import pickle
import socket
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from edri_sim.envelope import SETTLED, Envelope, Job, Origin, current
from edri_sim.errors import BadReply, CodecError, DeclarationError, RequestError, request_error
from edri_sim.events import EventType, event_type, registry
from edri_sim.logs import NodeLog
from edri_sim.managers.loop_slot import LoopSlot
from edri_sim.managers.serving import finish
from edri_sim.managers.slot import WorkerPlan, handler_error
from edri_sim.realtime import signals
from edri_sim.realtime.lifeline import run_child
from edri_sim.realtime.messages import (
    Answered,
    Begin,
    Boot,
    Broken,
    Call,
    Cancel,
    Done,
    Failed,
    Hangup,
    Learn,
    MessageStream,
    OpenCall,
    Ready,
    Refused,
    Stop,
    ToChild,
    TunnelCredit,
    TunnelEnded,
    TunnelItem,
    TunnelLimit,
)
from edri_sim.realtime.spawn import spawner
from edri_sim.realtime.tunnels import MessageFar, Wires
from edri_sim.routing.deadlines import check_timeout
from edri_sim.routing.opening import Opening
from edri_sim.routing.retrying import Retry, check_retry
from edri_sim.routing.tunnel import WINDOW
from edri_sim.routing.wire import OpenerWire, ServerWire
from edri_sim.settings import Settings
from edri_sim.traceparent import given


class ChildPort:
    """Publishes through the node that owns this child."""

    def __init__(self, send: Callable[[Any], None], wires: Wires) -> None:
        self._send = send
        self._wires = wires
        self._last = 0
        self._open: dict[int, asyncio.Future[bytes]] = {}
        self._tunnels: dict[int, Envelope] = {}
        self._fars: dict[int, MessageFar] = {}
        self.numbers: dict[Job, int] = {}

    async def request(self, event: Any, *, timeout: float | None = None, retry: Retry | None = None) -> Any:
        """See :class:`~edri_sim.managers.blocking.Port`; it is the node that tries again."""
        entry = event_type(event)
        if retry is not None:
            check_retry(entry)
        if timeout is not None:
            check_timeout(entry.name, timeout)
        return entry.reply_codec.decode(await self._call(entry, event, timeout, retry))

    async def notify(self, event: Any) -> None:
        """See :class:`~edri_sim.managers.blocking.Port`."""
        await self._call(event_type(event), event, None)

    async def _call(self, entry: EventType, event: Any, timeout: float | None, retry: Retry | None = None) -> bytes:
        number = self._last = self._last + 1
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._open[number] = future
        job = current.get()
        payload = entry.codec.encode(event)
        by = self.numbers.get(job, 0) if job else 0
        self._send(Call(number, by, entry.name, payload, timeout, given(job), retry))
        try:
            return await future
        except asyncio.CancelledError:
            self._send(Hangup(number))
            raise
        finally:
            del self._open[number]

    def answered(self, message: Answered) -> None:
        """The node has the end of a call."""
        tunnel = self._end_tunnel(message.call)
        if tunnel is not None and tunnel.reply_to is not None:
            tunnel.reply_to.set_result(None)
        future = self._open.get(message.call)
        if future is not None and not future.done():
            future.set_result(message.payload)

    def refused(self, message: Refused) -> None:
        """The node says that a call failed."""
        error = request_error(message.code, message.message, message.details)
        tunnel = self._end_tunnel(message.call)
        if tunnel is not None and tunnel.reply_to is not None:
            tunnel.reply_to.set_exception(error)
        future = self._open.get(message.call)
        if future is not None and not future.done():
            future.set_exception(error)

    # Tunnels: see Starter

    def open(self, event: Any, *, timeout: float | None = None) -> Opening[Any, Any]:
        """See :class:`~edri_sim.managers.blocking.Port`."""
        return Opening(self, event, timeout)

    def start_tunnel(self, event: Any, opening: Any, timeout: float | None) -> Envelope:
        """See :class:`~edri_sim.routing.opening.Starter`."""
        entry = event_type(event)
        if entry.kind != "tunnel":
            raise DeclarationError(f"{entry.name} is a {entry.kind}, and only a tunnel is opened")
        number = self._last = self._last + 1
        now = asyncio.get_running_loop().time()
        limit = math.inf if timeout is None else check_timeout(entry.name, timeout)
        envelope = Envelope(event, entry, number, Origin("", 0), now, now + limit, (0, 0), opening)
        envelope.tunnel = opening
        self._tunnels[number] = envelope
        far = self._fars[number] = MessageFar(self._send, -number)
        self._wires.add(-number, OpenerWire(far, opening))
        return envelope

    def place(self, envelope: Envelope) -> None:
        """See :class:`~edri_sim.routing.opening.Starter`."""
        job = current.get()
        by = self.numbers.get(job, 0) if job else 0
        timeout = None if envelope.deadline == math.inf else envelope.deadline - envelope.created
        payload = envelope.type.codec.encode(envelope.event)
        self._send(OpenCall(envelope.number, by, envelope.type.name, payload, timeout, given(job), WINDOW))

    def hold(self, envelope: Envelope) -> None:
        """See :class:`~edri_sim.routing.opening.Starter`; the node has its deadline."""

    def cancel_own(self, envelope: Envelope) -> None:
        """See :class:`~edri_sim.routing.opening.Starter`."""
        self._end_tunnel(envelope.number)
        self._send(Hangup(envelope.number))

    def limited(self, message: TunnelLimit) -> None:
        """A tunnel that opens leads to another node."""
        if (far := self._fars.get(message.call)) is not None:
            far.largest = message.largest

    def _end_tunnel(self, number: int) -> Envelope | None:
        self._wires.drop(-number)
        self._fars.pop(number, None)
        envelope = self._tunnels.pop(number, None)
        if envelope is not None:
            envelope.state = SETTLED
        return envelope


class Child:
    """One worker, from boot to stop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._settled: asyncio.Future[None] | None = None
        self._wires = Wires()
        self._port = ChildPort(self._send, self._wires)
        self._slot: LoopSlot | None = None
        self._types: dict[str, EventType] = {}
        self._label = ""
        self._jobs: dict[int, Job] = {}
        self._starting: asyncio.Task[None] | None = None
        self._stream: MessageStream | None = None
        self.over: asyncio.Future[None] = self._loop.create_future()
        self._on: dict[type[Any], Callable[[Any], None]] = {
            Boot: self._on_boot, Learn: self._on_learn, Begin: self._on_begin, Cancel: self._on_cancel,
            Answered: self._port.answered, Refused: self._port.refused, Stop: self._on_stop,
            TunnelItem: self._wires.item, TunnelCredit: self._wires.credit, TunnelEnded: self._wires.ended,
            TunnelLimit: self._port.limited,
        }  # fmt: skip

    async def serve(self, connection: socket.socket) -> None:
        """Do what the node says until it says stop, or is gone."""
        _, self._stream = await self._loop.create_unix_connection(
            lambda: MessageStream(ToChild, self._received, self._end), sock=connection
        )
        await self.over
        if self._slot is not None:
            for job in list(self._jobs.values()):
                self._slot.cancel(job)
            await self._slot.stop()
        self._stream.close()

    def _send(self, message: Any) -> None:
        if self._stream is not None:
            self._stream.send(message)

    def _received(self, message: Any) -> None:
        self._on[type(message)](message)

    def _end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def _on_boot(self, message: Boot) -> None:
        self._starting = self._loop.create_task(self._start(message.plan))

    async def _start(self, plan: bytes) -> None:
        try:
            make, cls, label, node = _unpack(plan)
            self._label = label
            log = NodeLog("pool", node, lambda: datetime.now().astimezone())
            port = self._port
            ours = WorkerPlan(cls, make, label, log, port, Settings(), lambda name: self._types[name], port)
            # No limit: the node kills a child that takes too long to stop.
            self._slot = LoopSlot(ours, self, 0, spawner(self._loop), None)
            await self._slot.start()
        except BaseException as error:
            failure = handler_error(error)
            self._send(Failed(0, failure.code, failure.args[0], failure.details()))
        else:
            self._send(Ready())

    def _on_learn(self, message: Learn) -> None:
        entry = event_type(pickle.loads(message.cls))
        registry.add(entry)
        self._types[entry.name] = entry

    def _on_begin(self, message: Begin) -> None:
        entry = self._types[message.type]
        assert self._slot is not None
        deadline = self._loop.time() + message.remaining
        event = entry.codec.decode(message.payload)
        origin = Origin(message.node, message.incarnation)
        envelope = Envelope(event, entry, message.event, origin, self._loop.time(), deadline, (0, 0))
        envelope.redelivered, envelope.trail = message.redelivered, message.trace
        if message.window:
            wire = ServerWire(MessageFar(self._send, message.job, message.largest), message.window, _nothing)
            envelope.tunnel = wire
            self._wires.add(message.job, wire)
        job = self._jobs[message.job] = Job(envelope, event, self._label, self._slot)
        self._port.numbers[job] = message.job
        self._slot.submit(job)

    def _on_cancel(self, message: Cancel) -> None:
        job = self._jobs.get(message.job)
        if job is not None and self._slot is not None:
            self._slot.cancel(job)

    def _on_stop(self, _: Stop) -> None:
        self._end()

    # What the slot tells its owner

    def started(self, job: Job) -> None:
        """See :class:`~edri_sim.managers.slot.SlotOwner`; the node has recorded it."""

    def jobs_of(self, slot: object) -> list[Job]:  # noqa: ARG002 - the owner's interface
        """See :class:`~edri_sim.managers.slot.SlotOwner`; all jobs are of the one slot."""
        return list(self._jobs.values())

    async def settled(self, slot: object) -> None:  # noqa: ARG002 - the owner's interface
        """See :class:`~edri_sim.managers.slot.SlotOwner`."""
        while self._jobs:
            self._settled = self._loop.create_future()
            await self._settled

    def ended(self, job: Job, value: Any, error: RequestError | None) -> None:
        """See :class:`~edri_sim.managers.slot.SlotOwner`."""
        entry = job.envelope.type
        payload = b""
        finish(job, failed=error is not None)
        if error is None and entry.kind == "request":
            try:
                payload = entry.reply_codec.encode(value)
            except CodecError as problem:
                error = BadReply(f"{job.envelope.subject}: the reply cannot be sent: {problem}")
        number = self._forget(job)
        if error is None:
            self._send(Done(number, payload))
        else:
            self._send(Failed(number, error.code, error.args[0], error.details()))

    def lost(self, slot: object, reason: str) -> None:  # noqa: ARG002 - the owner's interface
        """See :class:`~edri_sim.managers.slot.SlotOwner`; the node kills this process, and tells why."""
        self._send(Broken(reason))

    def _forget(self, job: Job) -> int:
        job.done = True
        number = self._port.numbers.pop(job)
        del self._jobs[number]
        self._wires.drop(number)
        if self._settled is not None and not self._settled.done():
            self._settled.set_result(None)
        return number


def _nothing() -> None:
    """What is done in the child when a tunnel opens: the node keeps its deadline."""


def _unpack(plan: bytes) -> tuple[Any, Any, str, str]:
    """Take over the node's import path before anything that needs it is unpacked."""
    path, rest = pickle.loads(plan)
    sys.path[:] = path
    make, cls, label, node = pickle.loads(rest)
    return make, cls, label, node


async def _serve(connection: socket.socket) -> None:
    await Child().serve(connection)


def main(arguments: list[str]) -> None:
    """Run a worker; the two arguments are file descriptors that the node has passed on."""
    # Ctrl-C reaches the whole group: it is the node that decides what becomes of its workers.
    signals.ignore_interrupt()
    # No program is here to say where logs go: they go to stderr, which the node's program shares.
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    run_child(arguments, _serve)


if __name__ == "__main__":
    main(sys.argv[1:])
