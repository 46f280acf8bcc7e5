"""Too much of what is in order: peers that do not read, connections without end, noise. Memory stays within bounds."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest

from edri_sim.links.address import Address
from edri_sim.links.frame_reader import FrameReader
from edri_sim.links.frames import HEADER, Digest, InterestGet, Ping, Pong, Sync, encode
from tests.links.siege import Siege, framed
from tests.worlds import until

KIB = 1 << 10


async def test_one_that_pings_and_does_not_read_is_answered_no_more_than_it_may_hold() -> None:
    async with Siege() as siege, siege.eve(deaf=True) as eve:
        port, most = siege.switch.ports["eve"], 0
        for _ in range(400):
            eve.say(encode(Ping(1)) * 2_000)
            await eve.writer.drain()
            most = max(most, port.stream.buffered)
        assert most < 512 * KIB


async def test_pings_that_come_in_one_piece_have_one_answer() -> None:
    async with Siege() as siege, siege.eve() as eve:
        eve.say(b"".join(encode(Ping(count)) for count in range(1, 101)))
        counts: list[int] = []
        reader = FrameReader()
        while 100 not in counts:
            frames = reader.feed(await eve.reader.read(64 * KIB))
            counts += [raw.open().count for raw in frames if raw.number == Pong.number]
        assert len(counts) < 5


async def test_one_that_is_told_more_than_it_takes_is_given_up() -> None:
    async with Siege(queue=64 * KIB, max_frame=16 * KIB) as siege, siege.eve(deaf=True) as eve:
        absent = encode(Sync("nobody", "eve", 0, "", 1, 1, 1, 1, 1, 0, 1))
        most = 0
        for _ in range(1_000):
            if "eve" not in siege.switch.ports:
                break
            most = max(most, siege.switch.ports["eve"].stream.buffered)
            eve.say(absent * 200)
            await asyncio.sleep(0)
        await siege.refused("slow")
        assert most < 1 << 20
        assert siege.switch.counts["dropped, absent"] > 1_000


async def test_what_is_for_one_that_does_not_read_is_dropped_at_the_switch() -> None:
    async with Siege(queue=64 * KIB) as siege, siege.eve(deaf=True), siege.eve("mallory") as mallory:
        await until(lambda: "eve" in siege.switch.ports)
        port = siege.switch.ports["eve"]
        frame = encode(Sync("eve", "mallory", 0, "x" * 100, 1, 1, 1, 1, 1, 0, 1))
        for _ in range(2_000):
            mallory.say(frame * 500)
            await mallory.writer.drain()
            if port.dropped > 1_000:
                break
        assert port.dropped > 1_000
        assert port.stream.buffered < 64 * KIB + (1 << 20)
        assert siege.switch.ports["eve"] is port


async def test_questions_that_nobody_reads_fill_no_memory() -> None:
    async with Siege(queue=64 * KIB) as siege, siege.eve(deaf=True), siege.eve("mallory") as mallory:
        question = encode(InterestGet("eve", "mallory", 0, "", 1, 1, []))
        for _ in range(300):
            mallory.say(question * 500)
            await mallory.writer.drain()
        assert siege.switch.ports["eve"].stream.buffered < 64 * KIB + (1 << 20)


async def test_comings_and_goings_that_one_does_not_read_of_fill_no_memory() -> None:
    async with Siege(queue=1 * KIB, max_frame=4 * KIB) as siege, siege.eve(deaf=True):
        port = siege.switch.ports["eve"]
        port.stream._transport.write(b"\0" * (4 << 20))  # type: ignore[union-attr]  # what the system takes, and more
        for number in range(3):
            async with siege.eve(f"guest{number}"):
                pass
        await siege.refused("slow")
        assert "eve" not in siege.switch.ports


async def test_noise_hurts_nobody() -> None:
    """Frames that are changed at random: whatever they do to the one who sends them, the others go on."""
    random = Random(7)
    async with Siege() as siege:
        good = [
            siege.data(), encode(Digest("b", "eve", 0, "", 1, 1, 1, 1)), encode(Ping(1)),
            encode(Sync(**siege.flow(), base=1, last=1, sync=1)), encode(InterestGet("b", "eve", 0, "", 1, 1, [])),
        ]  # fmt: skip
        for life in range(1, 41):
            async with siege.eve(incarnation=life) as eve:
                for _ in range(20):
                    eve.say(_changed(random.choice(good), random))
                await asyncio.sleep(0)
            await until(lambda: "eve" not in siege.switch.ports)
        assert sum(count for what, count in siege.switch.counts.items() if what.startswith("refused")) > 10
        assert not siege.log.at("CRITICAL")
        assert not [record for record in siege.log.list if record.exc_info]


def _changed(frame: bytes, random: Random) -> bytes:
    """A frame with a few bytes of its body changed, and a checksum that fits."""
    number, flags = HEADER.unpack(frame[: HEADER.size])[1:3]
    body = bytearray(frame[HEADER.size :])
    for _ in range(random.choice([0, 1, 1, 2, 5])):
        body[random.randrange(len(body))] = random.randrange(256)
    if random.random() < 0.1:
        del body[random.randrange(1, len(body)) :]
    return framed(bytes(body), number, flags ^ (1 << random.randrange(8) if random.random() < 0.1 else 0))


IDLERS = textwrap.dedent("""
    import resource, socket, sys
    host, port, wanted = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = []
    for _ in range(wanted):
        try:
            held.append(socket.create_connection((host, port), timeout=10))
        except OSError:
            break
    print(len(held), flush=True)
    sys.stdin.read()
""")


@contextmanager
def idlers(address: Address, count: int) -> Iterator[int]:
    """A process with so many connections that say nothing; how many it could make."""
    command = [sys.executable, "-c", IDLERS, address.host, str(address.port), str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.communicate("")


async def test_ten_thousand_idle_connections(capsys: pytest.CaptureFixture[str]) -> None:
    """Or as many as the limits of this machine permit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = min(10_000, hard - 200)
    try:
        async with Siege() as siege:
            crowd = idlers(siege.switch.address, wanted)
            held = await asyncio.to_thread(crowd.__enter__)
            most = len(siege.switch._greeting)
            await siege.goes_on()
            await asyncio.to_thread(crowd.__exit__, None, None, None)
            await until(lambda: not siege.switch._greeting)
            counts = siege.switch.counts
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with capsys.disabled():
        print(f"\nidle connections: {held} of 10,000, up to {most} at once; the limit here is {hard} files")
    assert held == wanted
    assert counts.get("refused, hung_up", 0) + counts.get("refused, silence", 0) == held
