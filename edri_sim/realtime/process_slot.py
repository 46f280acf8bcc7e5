"""A worker in a child process, as its node sees it."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextvars import Context, copy_context
from pathlib import Path
from typing import Any

from edri_sim.envelope import Job, current
from edri_sim.errors import BadEvent, BadReply, CodecError, DeclarationError, ProviderLost, RequestError, request_error
from edri_sim.events import EventType
from edri_sim.managers.slot import SlotOwner, WorkerPlan
from edri_sim.realtime.messages import (
    Answered,
    Begin,
    Boot,
    Broken,
    Call,
    Cancel,
    Done,
    Failed,
    FromChild,
    Hangup,
    Learn,
    MessageStream,
    OpenCall,
    Ready,
    Refused,
    Stop,
    TunnelCredit,
    TunnelEnded,
    TunnelItem,
)
from edri_sim.realtime.sending import dumps
from edri_sim.realtime.signals import describe_exit
from edri_sim.realtime.tunnels import Carried, MessageFar, Wires
from edri_sim.routing.wire import OpenerWire
from edri_sim.traceparent import take, told

_PACKAGE_HOME = str(Path(__file__).resolve().parents[2])


class ProcessSlot:
    """The slot of mode ``process``: one instance in a child that is started anew, never forked."""

    starts_at_once = True

    def __init__(self, plan: WorkerPlan, owner: SlotOwner, index: int) -> None:
        self.index = index
        self._plan = plan
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._jobs: dict[int, Job] = {}
        self._numbers: dict[Job, int] = {}
        self._last = 0
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._wires = Wires()
        self._carried: dict[int, Carried] = {}
        self._known: dict[str, EventType] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._stream: MessageStream | None = None
        self._ready = self._loop.create_future()
        self._gone = self._loop.create_future()
        self._stopping = False
        self._broken = ""
        self._on: dict[type[Any], Callable[[Any], None]] = {
            Ready: self._on_ready, Done: self._on_done, Failed: self._on_failed, Broken: self._on_broken,
            Call: self._on_call, Hangup: self._on_hangup, OpenCall: self._on_open, TunnelItem: self._wires.item,
            TunnelCredit: self._wires.credit, TunnelEnded: self._wires.ended,
        }  # fmt: skip

    # Life

    async def start(self) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`.

        Raises:
            DeclarationError: the worker or its arguments cannot be sent to a process.
            ProviderLost: the child ended before it was ready.
            HandlerError: the worker's ``start`` raised.
        """
        plan = self._plan
        boot = Boot(self._pickle((sys.path, self._pickle((plan.make, plan.cls, plan.label, plan.log.node)))))
        near, far = socket.socketpair()
        try:
            self._spawn(far)
        except BaseException:
            near.close()
            raise
        finally:
            far.close()
        _, self._stream = await self._loop.create_unix_connection(
            lambda: MessageStream(FromChild, self._received, self._lost), sock=near
        )
        self._stream.send(boot)
        await self._ready

    def _pickle(self, value: object) -> bytes:
        try:
            return dumps(value)
        except Exception as error:
            raise DeclarationError(
                f"{self._plan.label}: what a process worker needs cannot be sent to a process: {error}"
            ) from error

    def _spawn(self, far: socket.socket) -> None:
        child_end, self._lifeline = os.pipe()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_import_path())}
        command = [sys.executable, "-m", "edri_sim.realtime.processes", str(far.fileno()), str(child_end)]
        try:
            self._process = subprocess.Popen(
                command, pass_fds=(far.fileno(), child_end), stdin=subprocess.DEVNULL, env=environment
            )
        finally:
            os.close(child_end)

    async def stop(self) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`; a child that does not end in ``kill_after`` is killed."""
        self._stopping = True
        if self._stream is not None and not self._gone.done():
            self._stream.send(Stop())
            try:
                async with asyncio.timeout(self._plan.settings.kill_after):
                    await asyncio.shield(self._gone)
            except TimeoutError:
                self._plan.log.warning("%s: worker %d did not stop and is killed", self._plan.label, self.index)
            finally:
                self._reap()
                self._stream.close()
        else:
            self._reap()
        self._abort_carried()
        calls = list(self._calls.values())
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    def crash(self) -> None:
        """Kill the child, for a test of what comes of that."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def _reap(self) -> int:
        """End the child if it still runs, and collect it. Returns its exit code."""
        process = self._process
        if process is None:
            return 0
        code = process.poll()
        if code is None:
            process.kill()
            code = process.wait()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        return code

    def _lost(self) -> None:
        """The stream ended: the child is gone, or as good as gone."""
        code = self._reap()
        if not self._gone.done():
            self._gone.set_result(None)
        reason = self._broken or describe_exit(code)
        if not self._ready.done():
            self._ready.set_exception(
                ProviderLost(f"{self._plan.label}: the worker process {reason} before it was ready")
            )
        elif not self._stopping:
            self._owner.lost(self, reason)
        for call in list(self._calls.values()):
            call.cancel()  # Nobody is left to be told the answer.
        self._abort_carried()
        for job in list(self._jobs.values()):
            self._end(self._numbers[job])
            if self._stopping:
                self._owner.ended(job, None, ProviderLost(f"{job.envelope.subject}: the worker process was stopped"))

    # Jobs

    def submit(self, job: Job) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`."""
        envelope = job.envelope
        entry = envelope.type
        stream = self._stream
        assert stream is not None
        try:
            payload = entry.codec.encode(envelope.event)
            if self._known.get(entry.name) is not entry:
                stream.send(Learn(self._pickle(entry.cls)))
                self._known[entry.name] = entry
        except (CodecError, DeclarationError) as error:
            self._owner.ended(job, None, BadEvent(str(error)))
            return
        number = self._last = self._last + 1
        self._jobs[number] = job
        self._numbers[job] = number
        origin, remaining = envelope.origin, envelope.deadline - self._loop.time()
        identity = (origin.node, origin.incarnation, envelope.number)
        window, largest = 0, math.inf
        if envelope.tunnel is not None:
            window, largest = envelope.tunnel.window, envelope.tunnel.largest
            self._wires.add(number, OpenerWire(MessageFar(stream.send, number), envelope.tunnel))
        again, trail = envelope.redelivered, told(envelope)
        stream.send(Begin(number, entry.name, payload, *identity, remaining, again, trail, window, largest))

    def cancel(self, job: Job) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`; a child that goes on for ``kill_after`` seconds is killed."""
        job.cancelled = True
        number = self._numbers.get(job)
        if number is None or self._stream is None:
            return
        self._stream.send(Cancel(number))
        job.run = self._loop.call_later(self._plan.settings.kill_after, self._kill, number)

    def _kill(self, number: int) -> None:
        if number in self._jobs and self._process is not None:
            self._process.kill()

    def _end(self, number: int) -> Job:
        job = self._jobs.pop(number)
        del self._numbers[job]
        self._wires.drop(number)
        if job.run is not None:
            job.run.cancel()
        return job

    # From the child

    def _received(self, message: Any) -> None:
        self._on[type(message)](message)

    def _on_ready(self, _: Ready) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _on_done(self, message: Done) -> None:
        job = self._end(message.job)
        entry = job.envelope.type
        if entry.kind != "request":
            self._owner.ended(job, None, None)
            return
        try:
            value = entry.reply_codec.decode(message.payload)
        except CodecError as error:
            self._owner.ended(job, None, BadReply(f"{job.envelope.subject}: {error}"))
        else:
            self._owner.ended(job, value, None)

    def _on_failed(self, message: Failed) -> None:
        error = request_error(message.code, message.message, message.details)
        if message.job:
            self._owner.ended(self._end(message.job), None, error)
        elif not self._ready.done():
            self._ready.set_exception(error)

    def _on_broken(self, message: Broken) -> None:
        self._broken = message.reason
        if self._process is not None:
            self._process.kill()

    def _on_call(self, message: Call) -> None:
        context = self._context_of(message)
        task = self._loop.create_task(self._publish(message), context=context)
        self._calls[message.call] = task
        task.add_done_callback(lambda _: self._calls.pop(message.call, None))

    def _context_of(self, message: Call | OpenCall) -> Context:
        """That of the job that publishes, in the trace that it has chosen."""
        context = copy_context()
        context.run(current.set, self._jobs.get(message.job))
        if message.trace is not None:
            context.run(take, message.trace)
        return context

    def _on_hangup(self, message: Hangup) -> None:
        call = self._calls.get(message.call)
        if call is not None:
            call.cancel()
        carried = self._carried.get(message.call)
        if carried is not None:
            carried.abort()
            self._drop_carried(message.call)

    def _on_open(self, message: OpenCall) -> None:
        context = self._context_of(message)
        try:
            context.run(self._carry, message)
        except RequestError as error:
            self._refuse(message.call, error)
        except (CodecError, DeclarationError, ValueError) as error:
            self._refuse(message.call, BadEvent(str(error)))

    def _carry(self, message: OpenCall) -> None:
        """Begin a tunnel for a handler in the child, in the context of its job."""
        assert self._stream is not None
        event = self._plan.resolve(message.type).codec.decode(message.payload)
        call = message.call
        carried = Carried(self._plan.starter, self._stream.send, message, event, lambda: self._drop_carried(call))
        if not carried.done():
            self._carried[call] = carried
            self._wires.add(-call, carried.wire)

    def _drop_carried(self, call: int) -> None:
        self._carried.pop(call, None)
        self._wires.drop(-call)

    def _abort_carried(self) -> None:
        carried, self._carried = self._carried, {}
        for each in carried.values():
            each.abort()

    def _refuse(self, call: int, error: RequestError) -> None:
        if self._stream is not None:
            self._stream.send(Refused(call, error.code, error.args[0], error.details()))

    async def _publish(self, message: Call) -> None:
        """Do what a handler in the child asked for, in the context of its job, and tell it the end."""
        try:
            payload = await self._forward(message)
        except RequestError as error:
            answer: Answered | Refused = Refused(message.call, error.code, error.args[0], error.details())
        except (CodecError, DeclarationError, ValueError) as error:
            answer = Refused(message.call, BadEvent.code, str(error), {})
        else:
            answer = Answered(message.call, payload)
        if self._stream is not None:
            self._stream.send(answer)

    async def _forward(self, message: Call) -> bytes:
        entry = self._plan.resolve(message.type)
        event = entry.codec.decode(message.payload)
        if entry.kind == "request":
            reply = await self._plan.port.request(event, timeout=message.timeout, retry=message.retry)
            return entry.reply_codec.encode(reply)
        await self._plan.port.notify(event)
        return b""


def _import_path() -> list[str]:
    """PYTHONPATH for the child: wherever this package came from, it must find it again."""
    inherited = os.environ.get("PYTHONPATH")
    return [_PACKAGE_HOME, *([inherited] if inherited else [])]
