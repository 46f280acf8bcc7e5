"""Processes that are killed for real, with SIGKILL, while events flow: nothing is lost, doubled or out of order."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT, Process, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edri_sim import Node, part
from tests.realtime.programs import ROOT, command, environment, free_address
from tests.realtime.torrent import Drop, Taker
from tests.worlds import until

RATE = 1_000
"""Events per second."""
OUTAGE, BETWEEN, TIMES = 3.0, 1.0, 3
BURST = 20_000
WITHIN = 1.0
"""Seconds from when the switch listens again until the first event is through."""


async def begin(*words: str) -> Process:
    return await create_subprocess_exec(*words, cwd=ROOT, env=environment(), stdout=PIPE, stderr=STDOUT, limit=1 << 20)


async def kill(process: Process) -> bytes:
    """End it as ``kill -9`` does, and return what it had printed and nobody had read."""
    process.kill()
    assert process.stdout is not None
    rest = await process.stdout.read()
    await process.wait()
    return rest


class Hub:
    """The switch, as a program that is killed and started again."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._process: Process | None = None

    async def start(self) -> float:
        """When it listened, on the loop's clock."""
        words = command("switch", "--listen", self.address, "--status", "")
        process = self._process = await begin(*words)
        assert process.stdout is not None
        line = b""
        while b"listens at" not in line:
            line = await process.stdout.readline()
            assert line, "the switch has ended"
        return asyncio.get_running_loop().time()

    async def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await kill(process)


@asynccontextmanager
async def hub_of(address: str) -> AsyncIterator[Hub]:
    hub = Hub(address)
    await hub.start()
    try:
        yield hub
    finally:
        await hub.kill()


class Receiver:
    """What came, and when."""

    def __init__(self, address: str) -> None:
        self.taken: list[int] = []
        self.times: list[float] = []
        self.node = Node("taker", part(Taker, self.taken, self.times), switches=[address])

    async def has(self, count: int) -> None:
        """Wait for so many events."""
        await until(lambda: len(self.taken) >= count, f"{count} events")


async def stream(node: Node, stop: asyncio.Event) -> int:
    """Publish at RATE until told to stop; how many there were."""
    loop = asyncio.get_running_loop()
    begun, sent = loop.time(), 0
    while not stop.is_set():
        while sent < (loop.time() - begun) * RATE:
            await node.notify(Drop(sent))
            sent += 1
        await asyncio.sleep(0.005)
    return sent


async def test_a_switch_that_is_killed_again_and_again_costs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    address = free_address()
    receiver = Receiver(address)
    delays: list[float] = []
    async with hub_of(address) as hub, receiver.node, Node("sender", switches=[address]) as sender:
        await sender.subscribed(Drop)
        stop = asyncio.Event()
        streaming = asyncio.create_task(stream(sender, stop))
        for _ in range(TIMES):
            await asyncio.sleep(BETWEEN)
            await hub.kill()
            await asyncio.sleep(OUTAGE)
            before = len(receiver.taken)
            listens = await hub.start()
            await receiver.has(before + 1)
            delays.append(receiver.times[before] - listens)
        stop.set()
        sent = await streaming
        await receiver.has(sent)
        await sender.settled()
    assert receiver.taken == list(range(sent))
    assert sent > TIMES * OUTAGE * RATE
    with capsys.disabled():
        shown = ", ".join(f"{delay:.2f} s" for delay in delays)
        print(f"\n{sent} events, the switch killed {TIMES} times: first event {shown} after it listened again")
    assert max(delays) < WITHIN


async def test_a_burst_arrives_whole_and_in_order() -> None:
    address = free_address()
    receiver = Receiver(address)
    async with hub_of(address), receiver.node, Node("sender", switches=[address]) as sender:
        await sender.subscribed(Drop)
        for number in range(BURST):
            await sender.notify(Drop(number))
        await receiver.has(BURST)
        await sender.settled()
    assert receiver.taken == list(range(BURST))


async def test_what_a_durable_sender_accepted_outlives_its_process(tmp_path: Path) -> None:
    """While the switch is dead the outbox fills; then the sender is killed, and its next life sends what it finds."""
    address = free_address()
    receiver = Receiver(address)
    words = (sys.executable, "-m", "tests.realtime.torrent", address, str(tmp_path))
    async with hub_of(address) as hub, receiver.node:
        sender = await begin(*words, "0")
        assert sender.stdout is not None
        try:
            await receiver.has(100)
            await hub.kill()
            came = len(receiver.taken)
            accepted = -1
            while accepted < came + 500:
                accepted = int(await sender.stdout.readline())
        finally:
            rest = await kill(sender)
        # The last line may have been cut short by the kill.
        accepted = max([accepted, *(int(line) for line in rest.split(b"\n")[:-1])])
        assert len(receiver.taken) < accepted
        await hub.start()
        heir = await begin(*words, "-1")
        try:
            await receiver.has(accepted + 1)
        finally:
            await kill(heir)
    # One more may be on disk that the killed process could not speak of any more.
    assert receiver.taken == list(range(len(receiver.taken)))
