"""What is framed comes out again, at the last byte and not before; and nothing else does any harm."""

from __future__ import annotations

import struct
import tracemalloc
from contextlib import suppress
from typing import Any
from zlib import crc32

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edri_sim.links.frame_reader import FrameReader
from edri_sim.links.frames import (
    HEADER,
    MAX_FRAME,
    Ack,
    BadFrame,
    Data,
    Frame,
    Hello,
    Interest,
    InterestSay,
    RawFrame,
    encode,
)
from tests.links.frame_strategies import FRAMES, RELAYED, any_frame, flag_bytes, instances

PING = FRAMES[3]


def one(data: bytes, max_frame: int = MAX_FRAME) -> RawFrame:
    """The only frame in the bytes."""
    (raw,) = FrameReader(max_frame).feed(data)
    return raw


def framed(body: bytes, number: int, flags: int = 0) -> bytes:
    """A body under a right header, whatever it is."""
    return HEADER.pack(len(body), number, flags, crc32(body, number << 8 | flags)) + body


def error(code: str) -> Any:
    return pytest.raises(BadFrame, match=f"^{code}: ")


# What is framed comes out again


@pytest.mark.parametrize("cls", FRAMES, ids=lambda cls: cls.__name__)
def test_round_trip(cls: type[Frame]) -> None:
    @given(instances(cls), flag_bytes)
    @settings(max_examples=40)
    def check(frame: Frame, flags: int) -> None:
        whole = encode(frame, flags)
        raw = one(whole)
        assert (raw.number, raw.flags, raw.whole) == (cls.number, flags, whole)
        opened = raw.open()
        assert type(opened) is cls
        assert encode(opened, flags) == whole

    check()


@pytest.mark.parametrize("cls", RELAYED, ids=lambda cls: cls.__name__)
def test_a_switch_reads_the_address_of_what_it_relays(cls: type[Frame]) -> None:
    @given(instances(cls))
    @settings(max_examples=20)
    def check(frame: Any) -> None:
        address = one(encode(frame)).address()
        assert (address.dst, address.src, address.kind, address.type) == (frame.dst, frame.src, frame.kind, frame.type)

    check()


@given(any_frame, flag_bytes)
def test_a_frame_comes_with_its_last_byte(frame: Frame, flags: int) -> None:
    whole = encode(frame, flags)
    reader = FrameReader()
    for place in range(len(whole) - 1):
        assert list(reader.feed(whole[place : place + 1])) == []
        assert reader.partial
    (raw,) = reader.feed(whole[-1:])
    assert raw.whole == whole
    assert not reader.partial


@given(st.lists(any_frame, max_size=6), st.data())
def test_frames_come_in_order_however_they_are_cut(sent: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(encode(frame) for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    reader = FrameReader()
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    came = [raw.whole for piece in pieces for raw in reader.feed(piece)]
    assert came == [encode(frame) for frame in sent]


# What is not


@given(any_frame, flag_bytes, st.data())
def test_a_flipped_bit_is_seen(frame: Frame, flags: int, data: st.DataObject) -> None:
    whole = encode(frame, flags)
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    broken = bytearray(whole)
    broken[bit // 8] ^= 1 << bit % 8
    reader = FrameReader()
    try:
        came = list(reader.feed(bytes(broken)))
    except BadFrame:
        return
    assert came == [], "the only way out is a longer body, which has not come yet"
    assert bit < 32
    assert struct.unpack_from("!I", broken)[0] > len(whole) - HEADER.size


@given(st.binary(max_size=300))
def test_any_bytes_are_frames_or_bad_ones(data: bytes) -> None:
    try:
        for raw in FrameReader().feed(data):
            raw.open()
    except BadFrame:
        pass


@given(st.sampled_from(FRAMES), st.binary(max_size=120))
def test_any_body_is_a_frame_or_a_bad_one(cls: type[Frame], body: bytes) -> None:
    _open_or_refuse(RawFrame(cls.number, 0, body, b""))


@given(any_frame, st.data())
def test_a_body_that_was_tampered_with_is_a_frame_or_a_bad_one(frame: Frame, data: st.DataObject) -> None:
    body = bytearray(encode(frame)[HEADER.size :])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    _open_or_refuse(RawFrame(frame.number, 0, bytes(body), b""))


def _open_or_refuse(raw: RawFrame) -> None:
    for read in (raw.open, raw.address):
        with suppress(BadFrame):
            read()


@pytest.mark.parametrize("length", [0, MAX_FRAME + 1, 2**32 - 1])
def test_a_length_beyond_the_bounds_is_refused_before_anything_is_kept(length: int) -> None:
    reader = FrameReader()
    tracemalloc.start()
    try:
        with error("bad_length"):
            list(reader.feed(HEADER.pack(length, PING.number, 0, 0)))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_the_largest_frame_is_taken_and_one_byte_more_is_not() -> None:
    hello = encode(Hello(1, 1, "a", 1, "t" * 1_000))
    largest = len(hello) - HEADER.size
    assert one(hello, largest).open().token == "t" * 1_000
    with error("bad_length"):
        one(hello, largest - 1)


def test_what_has_not_come_whole_takes_no_more_than_its_bytes() -> None:
    reader = FrameReader()
    head = HEADER.pack(MAX_FRAME, PING.number, 0, 0)
    tracemalloc.start()
    try:
        list(reader.feed(head + bytes(1_000)))
        assert tracemalloc.get_traced_memory()[0] < 50_000
    finally:
        tracemalloc.stop()


def test_frames_before_a_bad_one_are_given() -> None:
    good = encode(Hello(1, 1, "a", 1))
    frames = FrameReader().feed(good + framed(b"\xc0", 99))
    assert next(frames).whole == good
    with error("unknown_type"):
        next(frames)


@pytest.mark.parametrize("number", [0, 99, 255])
def test_an_unknown_type_is_refused(number: int) -> None:
    with error("unknown_type"):
        one(framed(b"\x90", number))
    with error("unknown_type"):
        RawFrame(number, 0, b"\x90", b"").open()


@pytest.mark.parametrize("spoil", [lambda whole: whole[:-1] + b"!", lambda whole: whole[:6] + bytes(4) + whole[10:]])
def test_a_bad_checksum_is_refused(spoil: Any) -> None:
    with error("bad_crc"):
        one(spoil(encode(Hello(1, 1, "a", 1))))


def test_type_and_flags_are_under_the_checksum() -> None:
    whole = encode(PING(7))  # type: ignore[call-arg]
    assert one(whole).open() == PING(7)  # type: ignore[call-arg]
    for place, value in ((4, PING.number + 1), (5, 1)):
        with error("bad_crc"):
            one(whole[:place] + bytes([value]) + whole[place + 1 :])


BODIES = {
    "trailing": msgspec.msgpack.encode([1, 1, "a", 1, ""]) + b"\xc0",
    "truncated": msgspec.msgpack.encode([1, 1, "a", 1, "tail"])[:-2],
    "a field too many": msgspec.msgpack.encode([1, 1, "a", 1, "", 0]),
    "a field too few": msgspec.msgpack.encode([1, 1]),
    "wrong type": msgspec.msgpack.encode([1, 1, 5, 1, ""]),
    "negative": msgspec.msgpack.encode([1, 1, "a", -1, ""]),
    "a long name": msgspec.msgpack.encode([1, 1, "a" * 65, 1, ""]),
    "a map": msgspec.msgpack.encode({"lowest": 1}),
    "not utf-8": b"\x95\x01\x01\xa1\xff\x01\xa0",
    "an extension": b"\x95\x01\x01\xc7\x04\x05abcd\x01\xa0",
    "5,000 deep": b"\x95\x01\x01" + b"\x91" * 5_000,
    "a long array that is not there": b"\xdd\xff\xff\xff\xff",
    "pickle": b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x8c\x08builtins\x94.",
    "nothing": b"",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_bad_body_is_refused(body: bytes) -> None:
    with error("bad_body"):
        RawFrame(Hello.number, 0, body, b"").open()


def test_a_deep_body_is_refused_by_what_relays_it_too() -> None:
    raw = RawFrame(Data.number, 0, b"\xdc\x00\x15\xa1b\xa1a\x00\xa0" + b"\x91" * 5_000, b"")
    for read in (raw.open, raw.address):
        with error("bad_body"):
            read()


def test_a_schema_goes_with_an_interest() -> None:
    interest = Interest("Note", True, "fingerprint", msgspec.msgpack.encode({"fields": [1, [2, {"deep": None}]]}))
    say = InterestSay("b", "a", 0, "", 1, 1, 1, True, [interest])
    assert one(encode(say)).open() == say


@pytest.mark.parametrize("cls", [Data, Ack])
def test_what_a_number_claims_to_hold_is_not_believed(cls: type[Frame]) -> None:
    """A length inside of a body is no reason to allocate anything."""
    bodies = [
        b"\x99" + b"\xdd\xff\xff\xff\xff" * 9,
        b"\xdc\x00\x15" + b"\xdb\x7f\xff\xff\xff",
        b"\x99\xc6\x7f\xff\xff\xff",
    ]
    tracemalloc.start()
    try:
        for body in bodies:
            with error("bad_body"):
                RawFrame(cls.number, 0, body, b"").open()
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
