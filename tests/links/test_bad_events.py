"""Frames that are in order, and events that make no sense: rejected one by one, and their sender is told why."""

from __future__ import annotations

import asyncio
import math
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edri_sim import Notification, event
from edri_sim.links.frames import (
    ACK_NOW,
    CANCEL,
    ERROR,
    HEADER,
    REPLY,
    REQUEST,
    Ack,
    Data,
    Digest,
    InterestGet,
    InterestSay,
    Wish,
    encode,
)
from edri_sim.links.frames import Interest as Entry
from edri_sim.links.inlet import MOST_LIVES
from edri_sim.links.interest import MOST_TYPES
from tests.links.cluster import connector_of
from tests.links.siege import DEEP, DEEPER, Eve, Siege, framed
from tests.runtime.cast import Told
from tests.worlds import until


class Bomb:
    """Makes a file where somebody unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


async def rejected(siege: Siege, eve: Eve, data: bytes) -> list[tuple[int, str]]:
    """Have an event delivered, and see what its receiver says of it."""
    number, flags = HEADER.unpack(data[: HEADER.size])[1:3]
    eve.say(framed(data[HEADER.size :], number, flags | ACK_NOW))
    ack = await asyncio.wait_for(eve.expect(Ack), 5)
    assert ack.cum == 1
    return list(ack.rejected)


EVENTS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown type": ({"type": "No.Such"}, "unknown type"),
    "a module's name": ({"type": "antigravity.geohash"}, "unknown type"),
    "a request as a notification": ({"type": "Ask"}, "unknown type"),
    "an unknown kind": ({"kind": 99}, "unknown type"),
    "no payload": ({"payload": b""}, "bad payload: Told"),
    "wrong types": ({"payload": msgspec.msgpack.encode({"number": "seven"})}, "bad payload: Told.number"),
    "another schema": ({"payload": msgspec.msgpack.encode([7])}, "bad payload: Told"),
    "5,000 deep": ({"payload": DEEP}, "bad payload: Told"),
    "100,000 deep where it is skipped": ({"payload": b"\x82\xa1x" + DEEPER + b"\xa6number\x07"}, "bad payload: Told"),
    "cut off": ({"payload": msgspec.msgpack.encode({"number": 7})[:-1]}, "bad payload: Told"),
    "trailing bytes": ({"payload": msgspec.msgpack.encode({"number": 7}) + b"\xc0"}, "bad payload: Told"),
    "a request without a deadline": ({"kind": REQUEST, "type": "Ask", "remaining": -1.0}, "expired"),
    "a deadline that is no number": ({"kind": REQUEST, "type": "Ask", "remaining": math.nan}, "expired"),
    "a deadline without end": ({"kind": REQUEST, "type": "Ask", "remaining": math.inf}, "expired"),
}


@pytest.mark.parametrize("attack", EVENTS)
async def test_an_event_that_makes_no_sense_is_rejected_with_the_reason(attack: str) -> None:
    changed, reason = EVENTS[attack]
    async with Siege() as siege, siege.eve() as eve:
        ((seq, told),) = await rejected(siege, eve, siege.data(**changed))
        assert seq == 1
        assert told.startswith(reason)
        eve.say(siege.data(seq=2))  # It has blocked nothing.
        await until(lambda: siege.echoes.heard == [7])
        assert siege.at_b.bad == {}
        assert "antigravity" not in sys.modules


async def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    async with Siege() as siege, siege.eve() as eve:
        ((_, told),) = await rejected(siege, eve, siege.data(payload=bomb))
        assert told.startswith("bad payload")
        for kind in (REPLY, ERROR):
            eve.say(siege.data(lane=0, kind=kind, type="", seq=kind - REPLY + 1, payload=bomb))
        await siege.goes_on()
    assert not (tmp_path / "exploded").exists()


@event(name="wire.Picky")
class Picky(Notification):
    number: int = 0

    def __post_init__(self) -> None:
        raise KeyError(self.number)


async def test_a_class_that_raises_while_it_is_made_is_a_bad_payload() -> None:
    async with Siege() as siege, siege.eve() as eve:
        ((_, told),) = await rejected(siege, eve, siege.data(type="wire.Picky"))
        assert told.startswith("bad payload")


async def test_places_beyond_the_window_are_not_kept() -> None:
    async with Siege() as siege, siege.eve() as eve:
        for seq in range(2, 3_000):
            eve.say(siege.data(seq=seq))
        eve.say(siege.data(seq=1 << 40))
        await until(lambda: siege.at_b.exchange.peers["eve"].receives)
        lane = siege.at_b.exchange.peers["eve"].receives[1]
        await until(lambda: lane.refused == 3_000 - 1_024)
        assert len(lane._waiting) == 1_023
        eve.say(siege.data(seq=1))
        await until(lambda: len(siege.echoes.heard) == 1_024)
        assert not lane._waiting


async def test_impossible_acknowledgements_are_dropped() -> None:
    async with Siege() as siege, siege.eve() as eve:
        ask = siege.data(kind=REQUEST, type="Ask", remaining=5.0, payload=msgspec.msgpack.encode({"text": "hi"}))
        eve.say(ask)
        reply = await asyncio.wait_for(eve.expect(Data), 5)
        assert reply.kind == REPLY
        key = siege.flow(lane=0, outbox=reply.outbox, generation=reply.generation, incarnation=1)

        def ack(cum: int, **changed: Any) -> bytes:
            return encode(Ack(**key, cum=cum, **{"ranges": [], "window": 8, "sync": 0, "rejected": [], **changed}))

        impossible = [
            ack(2), ack((1 << 64) - 1), ack(0, sync=99), ack(0, ranges=[(2, 9)]), ack(0, ranges=[(1, 0)]),
            ack(0, ranges=[(9, 2)]),
        ]  # fmt: skip
        for data in impossible:
            eve.say(data)
        await siege.dropped("bad_ack", len(impossible))
        send = siege.at_b.exchange.peers["eve"].sends[0].send
        assert len(send.rows) == 1
        eve.say(ack(1, window=(1 << 64) - 1, rejected=[(number, "no") for number in range(1_000)]))
        await until(lambda: not send.rows)
        assert send.window < 10_000


async def test_a_router_that_claims_to_have_had_many_lives_is_believed_a_thousand() -> None:
    async with Siege() as siege, siege.eve(incarnation=1 << 40) as eve:
        for number in range(MOST_LIVES + 500):
            eve.say(siege.data(seq=number + 1, origin=number + 1))
            if number % 500 == 499:
                await until(lambda count=number + 1: len(siege.echoes.heard) == min(count, MOST_LIVES))
        await until(lambda: len(siege.echoes.heard) == MOST_LIVES)
        assert len(siege.at_b.inlet._origins["eve"]) == MOST_LIVES


async def test_answers_to_what_was_never_asked_change_nothing() -> None:
    async with Siege() as siege, siege.eve() as eve:
        a = connector_of(siege.a)
        await until(lambda: "eve" in a.exchange.peers)
        to_a = {"dst": "a", "incarnation": a.exchange.incarnation, "lane": 0, "type": ""}
        late = siege.a._router.late  # type: ignore[union-attr]
        seq = 0
        for kind in (REPLY, ERROR, CANCEL):
            for ref in (1, siege.rounds + 1, siege.rounds + 2, (1 << 64) - 1):
                seq += 1
                payload = msgspec.msgpack.encode("from eve")
                eve.say(siege.data(**to_a, kind=kind, seq=seq, ref=ref, payload=payload, origin=a.exchange.incarnation))
        await until(lambda: siege.a._router.late == late + 8)  # type: ignore[union-attr]
        assert a.bad == {}


async def test_interest_of_others_costs_no_more_than_what_this_node_sends() -> None:
    async with Siege() as siege, siege.eve() as eve:
        await siege.b.notify(Told(1))
        book = siege.at_b.book
        revision = book.revision
        for counter in range(1, 21):
            entries = [Entry(f"Made.Up{number}.{counter}", True, "f") for number in range(5_000)]
            eve.say(encode(InterestSay("b", "eve", 0, "", 1, revision, counter, counter == 1, entries)))
        refused = [(f"Made.Up{number}", "it is bad") for number in range(MOST_TYPES)]
        eve.say(encode(InterestGet("b", "eve", 0, "", 1, 1, [Wish("Told", "")], refused)))
        for number in range(2_000):
            eve.say(encode(Digest("b", "eve", 0, "", 1, number, number, number)))
        other = book.others["eve"]
        await until(lambda: other.wishes)
        await siege.goes_on()
        assert len(other.wants) + len(other.unfit) + len(other.refuses) <= len(book.wishes)
        assert len(book._wakes) < 50
        assert not siege.log.at("ERROR")


SCHEMAS = {
    "no message pack": b"\xc1",
    "5,000 deep": DEEP,
    "cut off": b"\x81\xa5event",
    "a number": b"\x07",
    "an empty map": b"\x80",
    "no classes": msgspec.msgpack.encode({"event": {"type": "int"}}),
    "a class that contains itself": msgspec.msgpack.encode(
        {"event": {"type": {"kind": "class", "number": 0}, "classes": [{"kind": "class", "number": 0}]}}
    ),
    "a number of a class that is not there": msgspec.msgpack.encode(
        {"event": {"type": {"kind": "class", "number": -7}, "classes": []}}
    ),
    "a map with lists for keys": b"\x81\x90\xc0",
    "half a character": b"\x81\xa1\xff\xc0",
}


@pytest.mark.parametrize("attack", SCHEMAS)
async def test_a_schema_that_cannot_be_read_does_not_fit(attack: str) -> None:
    async with Siege() as siege, siege.eve() as eve:
        await siege.b.notify(Told(1))
        book = siege.at_b.book
        say = InterestSay("b", "eve", 0, "", 1, book.revision, 1, True, [Entry("Told", True, "f", SCHEMAS[attack])])
        for _ in range(3):
            eve.say(encode(say))
        await until(lambda: book.others["eve"].unfit)
        assert book.subscribers("Told") == ()
        began = asyncio.get_running_loop().time()
        await siege.b.notify(Told(2))  # Nobody waits for the answer of one that is mute, more than once.
        assert asyncio.get_running_loop().time() - began < 0.5
        (line,) = siege.log.at("ERROR")
        assert line.getMessage().startswith("node eve wants Told in a version that does not fit ours")


async def test_what_comes_while_a_node_stops_is_rejected_with_that_reason() -> None:
    async with Siege() as siege, siege.eve() as eve:
        table = siege.b._router.table  # type: ignore[union-attr]
        table.closed = True  # As it is while its parts stop, one after the other.
        assert await rejected(siege, eve, siege.data()) == [(1, "its node stops")]
        table.closed = False
        eve.say(siege.data(seq=2))
        await until(lambda: siege.echoes.heard == [7])
