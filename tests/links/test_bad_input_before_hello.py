"""Whoever connects to a switch and does not say a decent hello: turned away, counted, and felt by nobody else."""

from __future__ import annotations

import asyncio

import pytest

from edri_sim.links import switch as switches
from edri_sim.links.frames import (
    DUPLICATE_NODE,
    FULL,
    LARGEST_INCARNATION,
    STALE_INCARNATION,
    UNAUTHORISED,
    UNSUPPORTED_VERSION,
    Ping,
    Pong,
    Reject,
    Welcome,
    encode,
)
from edri_sim.links.switch import LARGEST_HELLO
from tests.links.siege import DEEP, HTTP, PICKLE, TLS_HELLO, Siege, framed, hello, shorter
from tests.worlds import until

GOOD = hello()

BYTES = {
    "http": (HTTP, "bad_length"),
    "tls": (TLS_HELLO, "bad_length"),
    "pickle": (PICKLE, "bad_length"),
    "length 0": (shorter(0), "bad_length"),
    "length 2^32-1": (shorter(2**32 - 1), "bad_length"),
    "a hello of a mebibyte": (shorter(1 << 20), "bad_length"),
    "too short": (framed(b"\x90"), "bad_body"),
    "bad crc": (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "bad_crc"),
    "truncated": (framed(GOOD[10:-3]), "bad_body"),
    "trailing": (framed(GOOD[10:] + b"\xc0"), "bad_body"),
    "a field too many": (framed(b"\x96" + GOOD[11:] + b"\x01"), "bad_body"),
    "wrong types": (framed(b"\x95\xc3\xc3\xc3\xc3\xc3"), "bad_body"),
    "no message pack": (framed(b"\xc1" * 9), "bad_body"),
    "5,000 deep": (framed(DEEP[-LARGEST_HELLO + 1 :]), "bad_body"),
    "unknown frame": (framed(b"\x90", number=99), "unknown_type"),
    "data before hello": (framed(b"\x90", number=13), "no_hello"),
    "bye before hello": (framed(b"\x90", number=9), "no_hello"),
    "a name of 65": (hello("e" * 65), "bad_body"),
}


@pytest.mark.parametrize("attack", BYTES)
async def test_bytes_that_are_no_hello_end_the_connection(attack: str) -> None:
    data, code = BYTES[attack]
    async with Siege() as siege:
        for count in range(1, 4):
            eve = await siege.connect()
            eve.say(data)
            await asyncio.wait_for(eve.end(), 5)
            await siege.refused(code, count)
            eve.close()
        assert not siege.switch._greeting


REJECTED = {
    "version 0": (hello(lowest=0, highest=0), UNSUPPORTED_VERSION),
    "version 99": (hello(lowest=99, highest=99), UNSUPPORTED_VERSION),
    "versions upside down": (hello(lowest=2, highest=0), UNSUPPORTED_VERSION),
    "no name": (hello(""), UNAUTHORISED),
    "a bad name": (hello("Eve!"), UNAUTHORISED),
    "another's name": (hello("a", incarnation=1 << 61), DUPLICATE_NODE),
    "another's name, in the past": (hello("a", incarnation=1), STALE_INCARNATION),
    "a life that no other could follow": (hello(incarnation=LARGEST_INCARNATION + 1), UNAUTHORISED),
    "a token where none is": (hello(token="guess"), UNAUTHORISED),
}


@pytest.mark.parametrize("attack", REJECTED)
async def test_a_hello_that_is_not_taken_is_answered_with_the_reason(attack: str) -> None:
    data, code = REJECTED[attack]
    async with Siege() as siege:
        for count in range(1, 3):
            eve = await siege.connect()
            more = b"" if code == DUPLICATE_NODE else GOOD + HTTP
            eve.say(data + more)  # What comes after it is not looked at.
            assert (await eve.expect(Reject)).code == code
            await asyncio.wait_for(eve.end(), 5)
            await siege.refused(code, count)
            eve.close()
        assert siege.switch.counts == {f"refused, {code}": 2}
        assert list(siege.switch.ports) == ["a", "b"]


async def test_a_wrong_token_is_refused_and_shown_nowhere() -> None:
    async with Siege(token="the-right-one") as siege:
        for token in ("", "the-wrong-one", "the-right-one "):
            eve = await siege.connect()
            eve.say(hello(token=token))
            assert (await eve.expect(Reject)).code == UNAUTHORISED
            eve.close()
        async with siege.eve(token="the-right-one"):
            pass
        assert not any("the-right-one" in record.getMessage() for record in siege.log.list)


async def test_silence_ends_after_the_time_for_greeting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Siege() as siege:
        monkeypatch.setattr(switches, "GREETING_WITHIN", 0.2)
        eves = [await siege.connect() for _ in range(20)]
        await until(lambda: len(siege.switch._greeting) == 20)
        for eve in eves:
            await asyncio.wait_for(eve.end(), 5)
            eve.close()
        await siege.refused("silence", 20)
        assert not siege.switch._greeting


async def test_one_byte_now_and_then_is_silence_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Siege() as siege:
        monkeypatch.setattr(switches, "GREETING_WITHIN", 0.4)
        eve = await siege.connect()
        ended = asyncio.ensure_future(eve.end())
        for byte in GOOD:
            eve.say(bytes([byte]))
            await asyncio.sleep(0.05)
            if ended.done():
                break
        await asyncio.wait_for(ended, 5)
        await siege.refused("silence")
        eve.close()


async def test_pings_are_no_hello(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Siege() as siege:
        monkeypatch.setattr(switches, "GREETING_WITHIN", 0.3)
        eve = await siege.connect()
        eve.say(encode(Ping(1)) + encode(Pong(1 << 63)))
        await asyncio.wait_for(eve.end(), 5)
        await siege.refused("silence")
        eve.close()


async def test_a_hello_that_is_cut_off_anywhere_leaves_nothing_behind() -> None:
    async with Siege() as siege:
        for offset in range(len(GOOD)):
            eve = await siege.connect()
            eve.say(GOOD[:offset])
            await eve.writer.drain()
            eve.close()
        await siege.refused("hung_up", len(GOOD))
        assert not siege.switch._greeting


async def test_a_hello_in_single_bytes_is_a_hello() -> None:
    async with Siege() as siege:
        eve = await siege.connect()
        for byte in GOOD:
            eve.say(bytes([byte]))
            await asyncio.sleep(0)
        assert (await eve.expect(Welcome)).switch == "hub"
        eve.close()


async def test_a_full_switch_says_so_and_keeps_those_it_has() -> None:
    async with Siege(nodes=3) as siege, siege.eve("c"):
        eve = await siege.connect()
        eve.say(hello("d"))
        assert (await eve.expect(Reject)).code == FULL
        eve.close()
        await siege.refused(FULL)


async def test_more_connections_than_may_wait_for_a_hello_are_hung_up_on() -> None:
    async with Siege(greeting=5) as siege:
        eves = [await siege.connect() for _ in range(5)]
        await until(lambda: len(siege.switch._greeting) == 5)
        for count in range(1, 4):
            late = await siege.connect()
            await asyncio.wait_for(late.end(), 5)
            late.close()
            await siege.refused("crowd", count)
        eves[0].say(GOOD)
        await eves[0].expect(Welcome)
        for eve in eves:
            eve.close()


async def test_many_that_ask_for_one_name_at_once_do_not_throw_its_living_holder_out() -> None:
    async with Siege() as siege:
        eves = [await siege.connect() for _ in range(10)]
        for number, eve in enumerate(eves):
            eve.say(hello("a", incarnation=(1 << 61) + number))
        for eve in eves:
            assert (await eve.expect(Reject)).code == DUPLICATE_NODE
            eve.close()
        await siege.refused(DUPLICATE_NODE, 10)
        assert siege.switch.seen["a"] < 1 << 61


async def test_of_many_that_ask_for_the_name_of_a_dead_holder_the_latest_life_gets_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(switches, "PROBE", 0.2)
    async with Siege() as siege, siege.eve("mute", 1):  # It reads no ping, and so answers none.
        eves = [await siege.connect() for _ in range(3)]
        for number, eve in enumerate(eves):
            eve.say(hello("mute", incarnation=10 + number))
        answers = [await eve.frame() for eve in eves[:1]]
        assert isinstance(answers[0], Welcome | Reject)
        await until(lambda: siege.switch.seen["mute"] >= 10)
        await until(lambda: not siege.switch._greeting)
        holders = [port for port in siege.switch.ports.values() if port.node == "mute"]
        assert len(holders) == 1
        for eve in eves:
            eve.close()
