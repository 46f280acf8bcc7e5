"""What no good node sends of a tunnel: it ends that tunnel, with an error at both ends, or nothing at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from edri_sim import Manager, Tunnel, TunnelEnd, event, handles
from edri_sim.links.frames import (
    ACK_NOW,
    CANCEL,
    CLOSE,
    CREDIT,
    ERROR,
    HEADER,
    ITEM,
    NOTIFY,
    OPEN,
    UNKNOWN_FLOW,
    Ack,
    Data,
    Reset,
)
from edri_sim.links.tunnels import MOST_CREDIT
from edri_sim.routing.tunnel import FLYING, HALF_CLOSED, LEFT, WINDOW
from tests.links.cluster import connector_of
from tests.links.siege import Eve, Siege, framed
from tests.worlds import until

ENCODE = msgspec.msgpack.encode
UP, DOWN = 2, 3
"""The lanes of the first tunnel that eve opens."""


@event(name="tunnels.Pit")
class Pit(Tunnel[bytes, int]):
    """Nobody reads what goes up before the test says so."""


class Pits(Manager):
    """``ended`` says how its handler did."""

    def __init__(self) -> None:
        self.read = asyncio.Event()
        self.got: list[Any] = []
        self.ended = ""

    @handles
    async def pit(self, event: Pit, tunnel: TunnelEnd[int, bytes]) -> None:
        try:
            await self.read.wait()
            while True:
                try:
                    self.got.append(await tunnel.receive())
                except ValueError as error:
                    self.got.append(str(error))
        except BaseException as error:
            self.ended = type(error).__name__
            raise


class Attack:
    """Eve, with a tunnel to node b that she has opened."""

    def __init__(self, siege: Siege, eve: Eve, pits: Pits) -> None:
        self.siege = siege
        self.eve = eve
        self.pits = pits
        self._places: dict[int, int] = {}

    def say(self, kind: int, lane: int = UP, **changed: Any) -> None:
        """Send the next event of a lane."""
        seq = self._places[lane] = self._places.get(lane, 0) + 1
        changed = {"type": "", "payload": b"", "seq": seq, **changed}
        data = self.siege.data(kind=kind, lane=lane, **changed)
        number, flags = HEADER.unpack(data[: HEADER.size])[1:3]
        self.eve.say(framed(data[HEADER.size :], number, flags | ACK_NOW))

    def item(self, payload: bytes = b"x", **changed: Any) -> None:
        self.say(ITEM, payload=ENCODE(payload), **changed)

    async def error(self) -> str:
        """The code of the error with which b ends the tunnel; what it sends before is passed over."""
        while True:
            data = await asyncio.wait_for(self.eve.expect(Data), 5)
            if data.kind == ERROR:
                assert data.lane == DOWN
                code, message, _ = msgspec.msgpack.decode(data.payload)
                return f"{code}: {message}"

    async def broken(self, words: str) -> None:
        """The tunnel has ended, with these words for eve, and its handler with it."""
        assert words in await self.error()
        await until(lambda: self.pits.ended == "CancelledError", "the handler to be cancelled")
        assert len(connector_of(self.siege.b).tunnels) == 0


@asynccontextmanager
async def attack() -> AsyncIterator[Attack]:
    """Eve opens a tunnel, and hears that it is open."""
    pits = Pits()
    async with Siege(lambda: pits) as siege, siege.eve() as eve:
        attacker = Attack(siege, eve, pits)
        attacker.say(OPEN, 1, type="tunnels.Pit", payload=ENCODE({}), ref=WINDOW, remaining=5.0)
        while (data := await asyncio.wait_for(eve.expect(Data), 5)).kind != CREDIT:
            pass
        assert (data.lane, data.ref, data.event) == (DOWN, UP, WINDOW)
        yield attacker
        attacker.say(CANCEL, 0, ref=1)
        await until(lambda: pits.ended, "the handler to end")


FOUL: dict[str, tuple[Callable[[Attack], Any], str]] = {
    "an item beyond the credit": (lambda by: [by.item() for _ in range(WINDOW + 1)], "without credit"),
    "more bytes than may wait": (
        lambda by: [by.item(b"x" * 1_000_000) for _ in range(FLYING // 1_000_000 + 2)], "without credit",
    ),
    "an item after the end": (lambda by: [by.say(CLOSE, ref=LEFT), by.item()], "after the end"),
    "an end twice": (lambda by: [by.say(CLOSE, ref=HALF_CLOSED) for _ in range(2)], "ended in the way 0 after 0"),
    "an end of no known kind": (lambda by: by.say(CLOSE, ref=99), "ended in the way 99"),
    "no credit": (lambda by: by.say(CREDIT, 0, event=0, ref=DOWN), "credit for 0 items"),
    "too much credit": (lambda by: by.say(CREDIT, 0, event=MOST_CREDIT, ref=DOWN), "credit for 65536 items"),
    "credit without end": (lambda by: by.say(CREDIT, 0, event=(1 << 64) - 1, ref=DOWN), f"{(1 << 64) - 1} items"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOUL)
async def test_foul_play_ends_the_tunnel_at_both_ends(kind: str) -> None:
    play, words = FOUL[kind]
    async with attack() as by:
        play(by)
        await by.broken(words)


async def test_an_item_that_cannot_be_read_is_an_error_to_its_reader_and_the_tunnel_goes_on() -> None:
    async with attack() as by:
        by.pits.read.set()
        by.say(ITEM, payload=ENCODE("text"))
        by.say(ITEM, payload=b"\xc1")
        by.item(b"fine")
        await until(lambda: len(by.pits.got) == 3)
        assert by.pits.got[2] == b"fine"
        assert all("an item that came cannot be read: bytes" in text for text in by.pits.got[:2])
        by.say(CLOSE, ref=LEFT)
        await until(lambda: by.pits.ended == "TunnelClosed")


NOTHING: dict[str, Callable[[Attack], Any]] = {
    "an item on the lane of events": lambda by: by.say(ITEM, 1),
    "an end on the lane of control": lambda by: by.say(CLOSE, 0),
    "credit for no tunnel": lambda by: by.say(CREDIT, 0, event=1, ref=99),
    "credit for the lane of events": lambda by: by.say(CREDIT, 0, event=1, ref=1),
    "an event on the lane of a tunnel": lambda by: by.say(NOTIFY, UP, type="Told", payload=ENCODE({"number": 7})),
}


@pytest.mark.parametrize("kind", NOTHING)
async def test_what_belongs_to_no_tunnel_does_nothing(kind: str) -> None:
    async with attack() as by:
        NOTHING[kind](by)
        by.item(b"fine")
        by.pits.read.set()
        await until(lambda: by.pits.got == [b"fine"])
        assert by.siege.echoes.heard == []
        assert by.siege.at_b.bad == {}


async def test_items_for_a_tunnel_that_is_not_are_answered_with_a_reset() -> None:
    async with attack() as by:
        by.item(lane=8)
        reset = await asyncio.wait_for(by.eve.expect(Reset), 5)
        assert (reset.lane, reset.reason) == (8, UNKNOWN_FLOW)
        assert 8 not in by.siege.at_b.exchange.peers["eve"].receives


@pytest.mark.parametrize("changed", [{"type": "Ask"}, {"type": "No.Such"}, {"payload": b"\xc1"}, {"remaining": -1.0}])
async def test_an_opening_that_makes_no_sense_is_rejected(changed: dict[str, Any]) -> None:
    async with Siege() as siege, siege.eve() as eve:
        by = Attack(siege, eve, Pits())
        by.say(OPEN, 1, **{"type": "tunnels.Pit", "payload": ENCODE({}), "ref": 1, "remaining": 5.0, **changed})
        ack = await asyncio.wait_for(eve.expect(Ack), 5)
        assert [seq for seq, _ in ack.rejected] == [1]
        assert len(siege.at_b.tunnels) == 0
