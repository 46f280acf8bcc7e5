"""The program of one machine of a run: ``python -m edri_sim.realtime.machine_child SOCKET LIFELINE``.

It runs one node or one switch of a scenario, publishes what the scenario's loads publish from that node, and writes
its rows to a file. What it does else, the run tells it over the socket; when the lifeline ends, so does it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import random
import socket
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edri_sim.driving import Driver
from edri_sim.events import event_type, registry
from edri_sim.links.switch import Switch
from edri_sim.node import Node
from edri_sim.realtime import signals
from edri_sim.realtime.asking import Ask, Boot, Raised, Told, ToMachine, packed
from edri_sim.realtime.host import LocalHost
from edri_sim.realtime.launch import loop_factory
from edri_sim.realtime.lifeline import run_child
from edri_sim.realtime.messages import MessageStream
from edri_sim.realtime.rows import Counts, RowFile
from edri_sim.scenario import Scenario
from edri_sim.settings import Settings


@dataclass(frozen=True, slots=True)
class Role:
    """What one child has to be, in one of its lives: a switch that listens at ``address``, or a node where that is "".

    ``switches`` are the addresses that a node connects to, ``folder`` is for its files, and ``rows`` is the file that
    its trace goes to. ``seed`` is where the chance of loads comes from, and ``events`` are classes to be known that no
    import brings. Logs of level ``logs`` and above go to standard
    error; None: nowhere, as where a program has not said that it wants them.
    """

    name: str
    scenario: Scenario
    settings: Settings
    folder: Path
    rows: Path
    seed: str
    events: tuple[type[Any], ...]
    address: str = ""
    switches: tuple[str, ...] = ()
    logs: int | None = None


class MachineChild:
    """One machine, from its boot to its end."""

    def __init__(self, connection: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._over = self._loop.create_future()
        self._drivers: dict[int, Driver] = {}
        self._driving: list[asyncio.Task[None]] = []
        self._answering: dict[asyncio.Task[None], None] = {}
        self._stack = AsyncExitStack()

    async def serve(self) -> None:
        """Do what the run says until it says that it is over."""
        _, self._stream = await self._loop.create_unix_connection(
            lambda: MessageStream(ToMachine, self._received, self._end), sock=self._connection
        )
        await self._over
        self._stream.close()

    def _received(self, message: Boot | Ask) -> None:
        work = self._boot(message) if isinstance(message, Boot) else self._answer(message)
        task = self._loop.create_task(work)
        self._answering[task] = None
        task.add_done_callback(self._answering.pop)

    def _end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    async def _boot(self, message: Boot) -> None:
        await self._try(0, self._start(message.part))

    async def _answer(self, message: Ask) -> None:
        await self._try(message.number, getattr(self, f"do_{message.deed}")(*message.arguments))

    async def _try(self, number: int, work: Any) -> None:
        try:
            value = await work
        except Exception as error:
            self._stream.send(Raised(number, packed(error)))
        else:
            self._stream.send(Told(number, value))

    async def _start(self, part: bytes) -> None:
        path, rest = pickle.loads(part)
        sys.path[:] = path
        role: Role = pickle.loads(rest)
        self._role = role
        for cls in role.events:
            registry.add(event_type(cls))
        if role.logs is not None:
            logging.basicConfig(level=role.logs, format=f"%(levelname)s {role.name} %(name)s: %(message)s")
        self._rows = RowFile(role.rows, role.settings.trace_cap, self._counts)
        host = self._host = LocalHost(
            role.settings, data=role.folder, recorder=self._rows.recorder, name=role.name
        )  # fmt: skip
        if role.address:
            await self._stack.enter_async_context(Switch(role.name, role.address, host))
            return
        spec = role.scenario.topology.nodes[role.name]
        node = Node(
            role.name, *spec.parts, switches=role.switches, durable=spec.durable, host=host, settings=role.settings
        )
        # Not as a context: it is the run that says when this program ends, not a signal.
        await node.start()
        self._stack.push_async_callback(node.stop)
        self._node = node

    # What the run asks for; of a switch only `finish`, `flush` and `die`

    async def do_takes(self, type_: str) -> bool:
        """See :class:`~edri_sim.driving.Place`; of an event type by its wire name."""
        return await self._node.takes(registry.snapshot().by_name[type_].cls)

    async def do_subscribed(self, type_: str, count: int, timeout: float) -> None:
        """See :class:`~edri_sim.driving.Place`; of an event type by its wire name."""
        await self._node.subscribed(registry.snapshot().by_name[type_].cls, count, timeout=timeout)

    async def do_settled(self) -> None:
        """See :class:`~edri_sim.driving.Place`."""
        await self._node.settled()

    async def do_drive(self, began: int, offered: dict[int, int] | None) -> None:
        """Publish the loads of this node, from ``began`` on (nanoseconds of the monotonic clock); return at their end.

        ``offered`` is how much of each load the node had published in an earlier life; None: this is its first.
        """
        late = (time.monotonic_ns() - began) / 1e9
        await asyncio.sleep(max(0.0, -late))
        scenario = self._role.scenario
        for number, load in enumerate(scenario.load):
            if load.node == self._role.name:
                self._drivers[number] = Driver(
                    load, self._node, random.Random(f"{self._role.seed}/load/{number}"), scenario.duration,
                    since=0.0 if offered is None else late, offered=0 if offered is None else offered[number],
                )  # fmt: skip
        async with asyncio.TaskGroup() as group:
            self._driving = [group.create_task(driver.run()) for driver in self._drivers.values()]

    async def do_crash_worker(self, label: str, index: int) -> None:
        """Kill a worker's process."""
        self._host.workers[label, index].crash()

    async def do_flush(self) -> None:
        """Write all rows."""
        self._rows.flush()

    async def do_die(self) -> None:
        """End as by a SIGKILL from outside, but that no row is lost: nothing runs between the last one and the end."""
        self._rows.flush()
        signals.kill(os.getpid())

    async def do_finish(self) -> None:
        """Stop in good order, and write all rows; what the loads still wait for stays open."""
        for task in self._driving:
            task.cancel()
        await self._stack.aclose()
        self._rows.close()
        self._loop.call_soon(self._end)

    def _counts(self) -> Counts:
        tallies = {number: driver.tally for number, driver in self._drivers.items()}
        return {
            number: (tally.offered, tally.ended, tally.missed, dict(tally.failed)) for number, tally in tallies.items()
        }


async def _serve(connection: socket.socket) -> None:
    await MachineChild(connection).serve()


def main(arguments: list[str]) -> None:
    """Run a machine; the two arguments are file descriptors that the run has passed on."""
    run_child(arguments, _serve, loop_factory())


if __name__ == "__main__":
    main(sys.argv[1:])
