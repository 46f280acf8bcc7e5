"""A node that a switch has taken, and that breaks the rules: towards the switch, and towards another node."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edri_sim.links.frames import (
    Digest,
    InterestGet,
    Ping,
    Presence,
    Reset,
    Seek,
    Sought,
    Sync,
    Watch,
    Welcome,
    Wish,
    encode,
)
from edri_sim.links.interest import MOST_TYPES
from tests.links.siege import DEEP, DEEPER, HTTP, PICKLE, Siege, framed, hello
from tests.worlds import until

TO_SWITCH = {
    "a second hello": (hello(), "unexpected"),
    "a welcome": (encode(Welcome(1, "hub")), "unexpected"),
    "a presence": (encode(Presence("b", 1, False)), "unexpected"),
    "http": (HTTP, "bad_length"),
    "pickle": (PICKLE, "bad_length"),
    "no address": (framed(b"\x93\xa1b\xa3eve\x01", number=13), "bad_body"),
    "100,000 deep": (framed(b"\x95\xa1b\xa3eve\x00\xa0" + DEEPER, number=13), "bad_body"),
    "a source that is another": (encode(Digest("b", "a", 0, "", 1, 1, 1, 1)), "forged"),
    "a source that is nobody": (encode(Digest("b", "", 0, "", 1, 1, 1, 1)), "forged"),
    "an event for all": (encode(Sync("", "eve", 0, "", 1, 1, 1, 1, 1, 0, 1)), "no_destination"),
    "2 MiB": (framed(b"\xc5" + b"x" * (2 << 20), number=13), "bad_length"),
    "an address of wrong types": (framed(b"\x94\x01\x02\xa1x\xc0", number=13), "bad_body"),
    "a byte too many": (framed(encode(Digest("b", "eve", 0, "", 1, 1, 1, 1))[10:] + b"\x01", 12), "bad_body"),
    "cut off": (framed(encode(Digest("b", "eve", 0, "", 1, 1, 1, 1))[10:-1], 12), "bad_body"),
    "more types than may be": (encode(Seek([], [f"Made.Up{n}" for n in range(MOST_TYPES + 1)])), "too_many_types"),
    "a watch for what is no name": (encode(Watch(["b", "B/../b"])), "bad_name"),
    "a sought": (encode(Sought(1)), "unexpected"),
    "a bad ping": (framed(b"\x91\xa1x", number=4), "bad_body"),
}


@pytest.mark.parametrize("attack", TO_SWITCH)
async def test_a_node_that_breaks_the_rules_of_the_switch_is_hung_up_on(attack: str) -> None:
    data, code = TO_SWITCH[attack]
    async with Siege() as siege:
        for count in range(1, 3):
            async with siege.eve(incarnation=count) as eve:
                eve.say(data)
                await asyncio.wait_for(eve.end(), 5)
                await siege.refused(code, count)
            await until(lambda: "eve" not in siege.switch.ports)
        assert siege.at_b.bad == {}


def wishes(count: int) -> bytes:
    return encode(InterestGet("b", "eve", 0, "", 1, 1, [Wish(f"Made.Up{number}", "") for number in range(count)]))


TO_NODE: dict[str, tuple[Any, str]] = {
    "hops beyond 8": (lambda siege: siege.data(hops=9), "too_many_hops"),
    "places from 0": (lambda siege: siege.data(seq=0), "bad_place"),
    "places without end": (lambda siege: siege.data(seq=(1 << 64) - 1), "bad_place"),
    "a base above": (lambda siege: siege.data(base=2), "bad_place"),
    "a gap with a payload": (lambda siege: siege.data(places=5), "bad_gap"),
    "a sync of nothing": (lambda siege: encode(Sync(**siege.flow(), base=9, last=1, sync=1)), "bad_place"),
    "a reset for no reason": (lambda siege: encode(Reset(**siege.flow(), reason="?", now=1, sync=0)), "unknown_reason"),
    "interest in many types": (lambda _: wishes(MOST_TYPES + 1), "too_many_types"),
    "600 deep": (lambda _: framed(b"\x98\xa1b\xa3eve\x00\xa0\x01\x01" + DEEP[-601:] + b"\x01", 12), "bad_body"),
    "a digest of words": (lambda _: framed(b"\x98\xa1b\xa3eve\x00\xa0" + b"\xa1x" * 4, 12), "bad_body"),
    "a digest of less": (lambda _: framed(b"\x97\xa1b\xa3eve\x00\xa0\x01\x01\x01", 12), "bad_body"),
    "a digest of more": (lambda _: framed(b"\x99\xa1b\xa3eve\x00\xa0" + b"\x01" * 5, 12), "bad_body"),
}


@pytest.mark.parametrize("attack", TO_NODE)
async def test_a_frame_that_breaks_the_rules_between_nodes_is_dropped_there(attack: str) -> None:
    make, code = TO_NODE[attack]
    async with Siege() as siege, siege.eve() as eve:
        for _ in range(3):
            eve.say(make(siege))
        await siege.dropped(code, 3)
        eve.say(siege.data())  # What is in order gets through all the same.
        await until(lambda: siege.echoes.heard == [7])
        assert not siege.switch.counts


async def test_interest_in_a_million_types_is_more_than_a_frame_may_be() -> None:
    body = bytes(wishes(10)[10:])
    (start,) = [place for place in range(len(body)) if body[place] == 0x9A]  # An array of ten.
    many = body[:start] + b"\xdd" + (1_000_000).to_bytes(4, "big") + b"\x92\xa0\xa0" * 1_000_000 + b"\x90"
    async with Siege() as siege, siege.eve() as eve:
        eve.say(framed(many, InterestGet.number))
        await asyncio.wait_for(eve.end(), 5)
        await siege.refused("bad_length")
        assert len(siege.at_b.book.others["eve"].wishes) == 0


async def test_a_frame_in_single_bytes_is_a_frame() -> None:
    async with Siege() as siege, siege.eve() as eve:
        for byte in encode(Ping(1)) + siege.data():
            eve.say(bytes([byte]))
            await asyncio.sleep(0)
        await until(lambda: siege.echoes.heard == [7])
