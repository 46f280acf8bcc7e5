"""What routers and switches say to each other, and how it is framed. No I/O: bytes in, frames out.

A frame is a header of ten bytes, then a body: u32 length of the body, u8 type, u8 flags, u32 crc32 (of the body, seeded
with type and flags), all big-endian; the body is one MessagePack array. The length is checked before anything is
allocated. A frame that routers send to each other begins with ``dst, src, kind, type``: a switch decodes these four,
and no more.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, NamedTuple
from zlib import crc32

import msgspec

from edri_sim.errors import EdriError

VERSION = 1
"""The version of this protocol; both ends say which range they speak."""

MAX_FRAME = 1 << 20
"""The largest body of a frame, in bytes, unless a setting says otherwise."""
MAX_FRAME_CAP = 16 << 20
"""The largest that the setting may say."""
LARGEST_INCARNATION = 1 << 62
"""Far above what a clock gives; a life with a number above could have no later one."""
MAX_HOPS = 8
"""How many routers an envelope may pass."""

REDELIVERED, GAP, HANDLED_WANTED, ACK_NOW = 1, 2, 4, 8
"""Flags of DATA: it may have been delivered before; it was given up, and fills its place in the order; its row is kept
until a handler has returned; the sender can send no more before it hears of this."""

NOTIFY, REQUEST, REPLY, ERROR, CANCEL, HANDLED, OPEN, ITEM, CREDIT, CLOSE = range(1, 11)
"""Kinds of DATA."""
KINDS = ("", "NOTIFY", "REQUEST", "REPLY", "ERROR", "CANCEL", "HANDLED", "OPEN", "ITEM", "CREDIT", "CLOSE")

HEADER = struct.Struct("!IBBI")

Name = Annotated[str, msgspec.Meta(max_length=64)]
TypeName = Annotated[str, msgspec.Meta(max_length=200)]
Word = Annotated[str, msgspec.Meta(max_length=64)]
Text = Annotated[str, msgspec.Meta(max_length=2_000)]
U64 = Annotated[int, msgspec.Meta(ge=0)]


class BadFrame(EdriError):
    """The bytes are no frame of this protocol; ``code`` is a word for counters, the message says what was wrong."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Frame(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The base of all frames; ``number`` is the type's in the header."""

    number: ClassVar[int] = 0


class Address(msgspec.Struct, array_like=True, frozen=True):
    """The head of a frame between routers, as the switch decodes it."""

    dst: Name
    src: Name
    kind: int
    type: TypeName


# Between a router and a switch


class Hello(Frame):
    """First on a connection: who one is, and the versions that one speaks."""

    number = 1
    lowest: int
    highest: int
    node: Name
    incarnation: U64
    token: str = ""


class Welcome(Frame):
    """The switch takes the node: who it is, and ``max_frame``, the bytes of a body that it takes."""

    number = 2
    version: int
    switch: Name
    max_frame: U64 = MAX_FRAME


class Reject(Frame):
    """The switch does not take the node. ``seen`` is the incarnation that it has seen of it."""

    number = 3
    code: Word
    message: Text
    seen: U64 = 0


UNSUPPORTED_VERSION = "UNSUPPORTED_VERSION"
UNAUTHORISED = "UNAUTHORISED"
STALE_INCARNATION = "STALE_INCARNATION"
DUPLICATE_NODE = "DUPLICATE_NODE"
FULL = "FULL"


class Ping(Frame):
    """Answered with the same number."""

    number = 4
    count: U64


class Pong(Frame):
    """The answer to a Ping."""

    number = 5
    count: U64


class Presence(Frame):
    """From the switch: an acquaintance is here (``up``), in this life, or went; ``left``: it had said goodbye."""

    number = 6
    node: Name
    incarnation: U64
    up: bool
    left: bool = False


class Unroutable(Frame):
    """From the switch: what was sent to ``node`` was dropped, for it is not here, or may not get that ``type``."""

    number = 7
    node: Name
    reason: Word
    type: TypeName = ""


ABSENT, NOT_ALLOWED = "absent", "not allowed"


class GoAway(Frame):
    """From either end: it is about to leave; a router sends nothing new that way."""

    number = 8
    reason: Word = ""


class Bye(Frame):
    """From a router: it leaves for good, and not by accident."""

    number = 9


class Seek(Frame):
    """From a router: the types that it sends and those that it wants, in full, whenever that has changed.

    The switch introduces it to those who want or send the same, and says so with a :class:`Sought`.
    """

    number = 17
    sends: list[TypeName]
    wants: list[TypeName]


class Sought(Frame):
    """From the switch: all are introduced that want anything of a Seek with so many types sent."""

    number = 18
    sends: U64


class Watch(Frame):
    """From a router: whom it has to do with, on whatever way; the switch says whether they are here, now and later."""

    number = 19
    nodes: list[Name]


# Between routers, relayed by the switch


class Relayed(Frame):
    """The base of frames between routers."""

    dst: Name
    src: Name
    kind: int
    type: TypeName


class Wish(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """A type that a router sends: its name, and the fingerprint of its schema there."""

    type: TypeName
    fingerprint: Word


class Interest(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """What a router has for one type: a subscriber or a provider.

    Its ``schema``, in MessagePack, goes with it where the fingerprint is another than that of who sends the type.
    """

    type: TypeName
    wanted: bool
    fingerprint: Word
    schema: bytes = b""


class InterestGet(Relayed):
    """What a router sends; the others are to say what of it they want, now and as that changes.

    ``refused`` are types that the receiver wants in a schema that does not fit, each with the reason.
    """

    number = 10
    incarnation: U64
    revision: U64
    wishes: list[Wish]
    refused: list[tuple[TypeName, Text]] = []


class InterestSay(Relayed):
    """The answer to the wishes of ``revision``: all of them (``full``), or those entries that changed."""

    number = 11
    incarnation: U64
    revision: U64
    counter: U64
    full: bool
    entries: list[Interest]


class Digest(Relayed):
    """What the sender believes to have told the receiver: by revision of the wishes, counter, and digest of all."""

    number = 12
    incarnation: U64
    revision: U64
    counter: U64
    digest: U64


class FlowFrame(Relayed):
    """The base of frames about one flow: (src, outbox, generation, dst, dst incarnation, lane)."""

    outbox: U64
    generation: U64
    incarnation: U64
    lane: U64


class Data(FlowFrame):
    """One event, or with the flag GAP ``places`` that were given up.

    ``seq`` counts from 1; all below ``base`` is settled. ``origin`` and ``event`` make the event id, ``ref`` is the
    request that a reply, an error or a cancel is about. ``remaining`` is seconds, below 0 for no deadline.
    ``trace`` is a traceparent, empty for an event that begins a trace. Of tunnels: an OPEN's ``ref`` is how many items
    its sender takes, a CREDIT gives ``event`` more for the lane ``ref``, and a CLOSE's ``ref`` is how its sender sends
    no more.
    """

    number = 13
    base: U64
    seq: U64
    origin: U64
    event: U64
    ref: U64
    schema: Word
    remaining: float
    trace: Text
    hops: int
    payload: bytes
    places: U64 = 1


class Sync(FlowFrame):
    """What the sender has: all below ``base`` is settled, ``last`` is the highest that may have been sent.

    Answered at once, with an Ack or a Reset that says its number, ``sync``.
    """

    number = 14
    base: U64
    last: U64
    sync: U64


class Ack(FlowFrame):
    """What the receiver has: all up to ``cum``, the ``ranges`` beyond, room up to ``window``.

    ``sync`` is the number of the last Sync that it has seen. ``rejected`` are settled all the same, each with the
    reason; they are repeated until the sender's base has passed them.
    """

    number = 15
    cum: U64
    ranges: list[tuple[U64, U64]]
    window: U64
    sync: U64
    rejected: list[tuple[U64, Word]]


class Reset(FlowFrame):
    """The receiver of a flow can't go on with it; ``now`` is its present incarnation.

    ``sync`` is the number of the Sync that this answers, 0 for the answer to an event.
    """

    number = 16
    reason: Word
    now: U64
    sync: U64


STALE_DST, FENCED, UNKNOWN_FLOW, ROLLBACK = "STALE_DST", "FENCED", "UNKNOWN_FLOW", "ROLLBACK"

_TYPES: tuple[type[Frame], ...] = (
    Hello, Welcome, Reject, Ping, Pong, Presence, Unroutable, GoAway, Bye,
    InterestGet, InterestSay, Digest, Data, Sync, Ack, Reset, Seek, Sought, Watch,
)  # fmt: skip
RELAYED = frozenset(cls.number for cls in _TYPES if issubclass(cls, Relayed))
"""The numbers of the frames that a switch passes on."""

_DECODERS: dict[int, Callable[[bytes], Frame]] = {cls.number: msgspec.msgpack.Decoder(cls).decode for cls in _TYPES}
NAMES = {cls.number: cls.__name__ for cls in _TYPES}
_encode = msgspec.msgpack.Encoder().encode
_address = msgspec.msgpack.Decoder(Address).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoders raise; a string that is not UTF-8 is no error of theirs to them."""


def encode(frame: Frame, flags: int = 0) -> bytes:
    """The frame with its header."""
    body = _encode(frame)
    number = frame.number
    return HEADER.pack(len(body), number, flags, crc32(body, number << 8 | flags)) + body


class RawFrame(NamedTuple):
    """A frame as it came: its type and flags, its body, and all of its bytes, to be passed on."""

    number: int
    flags: int
    body: bytes
    whole: bytes

    def address(self) -> Address:
        """Where a relayed frame comes from and goes to. Raises BadFrame."""
        try:
            return _address(self.body)
        except _UNREADABLE as error:
            raise BadFrame("bad_body", f"{NAMES[self.number]}: {error}") from error

    def open(self) -> Any:
        """The frame. Raises BadFrame."""
        decode = _DECODERS.get(self.number)
        if decode is None:
            raise BadFrame("unknown_type", f"frame type {self.number}: expected 1 to {len(_TYPES)}")
        try:
            return decode(self.body)
        except _UNREADABLE as error:
            raise BadFrame("bad_body", f"{NAMES[self.number]}: {error}") from error
