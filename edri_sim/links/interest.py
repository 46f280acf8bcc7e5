"""Who wants what: what this router sends, and what the others want of it. No I/O and no clock.

A router learns interest only in the types that it sends: it tells the others that the fabric has introduced its
*wishes*, and each answers with what it wants of them, in full; as that changes, it sends the difference. A frame may be
lost anywhere: a wish is repeated until it is answered, a difference carries a counter, and a digest now and then shows
what was missed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from itertools import count
from typing import Any, NamedTuple

import msgspec

from edri_sim.links.frames import BadFrame, Digest, Interest, InterestGet, InterestSay, RawFrame, Wish, encode
from edri_sim.links.heard import FIRST_REPEAT, LAST_REPEAT, Other

DIGEST_EVERY = 5.0
"""Seconds between two digests to a router whose wishes one knows."""

MOST_TYPES = 10_000
"""Types that a router may send: one that says more is not listened to."""

MOST_REFUSED, MOST_SCHEMAS = 200, 512 << 10
"""Refusals, and bytes of schemas, in one frame. What is beyond that shows event by event, as each is rejected."""

_schema = msgspec.msgpack.Encoder(order="sorted").encode
_read_schema = msgspec.msgpack.Decoder().decode
_key = msgspec.msgpack.Encoder().encode


class Own(NamedTuple):
    """What this router has of one type, sent or wanted: fingerprint and schema here."""

    fingerprint: str
    schema: Any


class Changed(NamedTuple):
    """A router wants other things of us than before; ``types`` are those that changed."""

    peer: str
    types: tuple[str, ...]


class Refused(NamedTuple):
    """A router's wish and what we want of it do not fit together; ``here``: we want it, and they send it."""

    peer: str
    type: str
    reason: str
    here: bool


class Answered(NamedTuple):
    """A router has said what it wants of all that we send."""

    peer: str


News = Changed | Refused | Answered


class InterestBook:
    """``own(type)`` says what this router has of a type; ``wanted(type)`` whether anybody here wants it now.

    ``fits(type, schema)`` says what a subscriber's schema lacks, if anything.
    """

    def __init__(
        self, node: str, incarnation: int, *, own: Callable[[str], Own | None], wanted: Callable[[str], bool],
        fits: Callable[[str, Any], str],
    ) -> None:  # fmt: skip
        self.node = node
        self.incarnation = incarnation
        self.others: dict[str, Other] = {}
        self.revision = 0
        self.wishes: dict[str, str] = {}
        self._wished = 0
        self._ready = False
        self._own = own
        self._wanted = wanted
        self._fits = fits
        self._frames: list[tuple[str, bytes]] = []
        self._news: list[News] = []
        self._wakes: list[tuple[float, int, Other]] = []
        self._ticket = count().__next__
        self._handlers: dict[int, Callable[[Any, float], None]] = {
            InterestGet.number: self._on_get, InterestSay.number: self._on_say, Digest.number: self._on_digest,
        }  # fmt: skip

    # Pulled

    def take_frames(self) -> list[tuple[str, bytes]]:
        """What to send now, each with the router that it goes to."""
        frames, self._frames = self._frames, []
        return frames

    def take_news(self) -> list[News]:
        """What has changed since the last call, in order."""
        news, self._news = self._news, []
        return news

    def next_time(self) -> float:
        """When to call :meth:`tick`; infinity for never."""
        wakes = self._wakes
        while wakes and wakes[0][0] not in (wakes[0][2].repeat, wakes[0][2].digest_at):
            heappop(wakes)
        return wakes[0][0] if wakes else math.inf

    # Questions

    def subscribers(self, type_: str) -> tuple[str, ...]:
        """The routers that want a type that we send, in a schema that fits."""
        return tuple(
            name for name, other in self.others.items()
            if type_ in other.wants and type_ not in other.unfit and type_ not in other.barred
        )  # fmt: skip

    def asked(self, type_: str) -> bool:
        """Whether a type is among our wishes, and all who can be reached have answered since, or had time to."""
        return type_ in self.wishes and all(
            other.excused or other.answered >= self._wished for other in self.others.values() if other.reachable
        )

    def excuse(self) -> None:
        """Wait no longer for those who have not answered: one that is mute must not hold up what others get."""
        for other in self.others.values():
            other.excused = other.answered < self._wished

    # What happens here

    def wish(self, type_: str, fingerprint: str, now: float) -> None:
        """This router sends a type: ask all others what they want of it."""
        if type_ in self.wishes:
            return
        self.wishes[type_] = fingerprint
        self.revise(now)
        self._wished = self.revision

    def answered(self) -> bool:
        """Whether all who can be reached have answered what they were asked last, or have had time to."""
        return all(
            other.excused or other.answered == self.revision for other in self.others.values() if other.reachable
        )

    def revise(self, now: float) -> None:
        """Have something to say to a router that only an answer to this very question shows to have arrived."""
        self.revision += 1
        for other in self.others.values():
            if other.reachable:
                self._frames.append((other.name, encode(self._get(other.name, other.unfit.items()))))
                self._expect(other, now)

    def ready(self, now: float) -> None:
        """This router's parts have started, and what it wants is all that it wants: answer those who have asked.

        An answer before would read as "not wanted", and make the others give up what they hold for a new life.
        """
        self._ready = True
        for other in self.others.values():
            if other.revision >= 0:
                self._answer(other, now)

    def own_changed(self, now: float) -> None:
        """What this router wants has changed: tell those whose wishes that concerns."""
        for other in self.others.values():
            if other.revision < 0 or not self._ready:
                continue
            entries = self._entries(other)
            changed = [entry for type_, entry in entries.items() if other.told.get(type_) != entry]
            changed += [Interest(type_, False, "") for type_ in other.told if type_ not in entries]
            if changed:
                other.told = entries
                other.told_counter += 1
                self._say(other, changed, full=False)
                self._plan_digest(other, now)

    def up(self, name: str, incarnation: int, now: float) -> None:
        """A router can be reached: ask it."""
        other = self._other(name, incarnation)
        if other is None or other.reachable:
            return
        other.reachable = True
        other.pause = FIRST_REPEAT
        other.barred = {}
        self._ask_again(other, now)
        if other.revision >= 0:
            self._plan_digest(other, now)

    def down(self, name: str) -> None:
        """A router can't be reached; what it wants is still wanted."""
        other = self.others.get(name)
        if other is not None:
            other.rest()

    def wanted_by(self, name: str) -> bool:
        """Whether a router wants anything of us."""
        other = self.others.get(name)
        return other is not None and bool(other.wants)

    def forget(self, name: str) -> None:
        """A router has left for good, and wants nothing any more."""
        other = self.others.pop(name, None)
        if other is not None:
            other.rest()
            self._news.append(Changed(name, tuple(other.wants)))

    def reject(self, name: str, type_: str, now: float) -> None:
        """A router does not want a type that it was taken to want: believe it, and ask what else has changed."""
        other = self.others.get(name)
        if other is not None and other.wants.pop(type_, None) is not None:
            self._news.append(Changed(name, (type_,)))
            self._ask_again(other, now)

    def bar(self, name: str, type_: str) -> bool:
        """A type does not get through to a router, as long as it is present; whether that is new."""
        other = self.others.get(name)
        if other is None or type_ in other.barred or type_ not in self.wishes:
            return False
        other.barred[type_] = None
        self._news.append(Changed(name, (type_,)))
        return True

    def tick(self, now: float) -> None:
        """Repeat what was not answered, and send the digests that are due."""
        while self.next_time() <= now:
            _, _, other = heappop(self._wakes)
            if other.repeat <= now:
                other.pause = min(other.pause * 2, LAST_REPEAT)
                other.repeat = math.inf
                self._ask_again(other, now)
            if other.digest_at <= now:
                self._frames.append((other.name, encode(self._digest(other))))
                self._plan_digest(other, now, again=True)

    # Frames in

    def receive(self, raw: RawFrame, now: float) -> None:
        """Take a frame about interest. Raises BadFrame."""
        self._handlers[raw.number](raw.open(), now)

    def _on_get(self, get: InterestGet, now: float) -> None:
        if len(get.wishes) > MOST_TYPES:
            text = f"router {get.src!r} says that it sends {len(get.wishes)} types: at most {MOST_TYPES} may be"
            raise BadFrame("too_many_types", text)
        other = self._other(get.src, get.incarnation)
        if other is None or get.revision < other.revision:
            return
        self._note_refused(other, dict(get.refused))
        other.wishes = {wish.type: wish.fingerprint for wish in get.wishes}
        other.revision = get.revision
        if self._ready:
            self._answer(other, now)

    def _answer(self, other: Other, now: float) -> None:
        other.told = self._entries(other)
        self._say(other, list(other.told.values()), full=True)
        self._plan_digest(other, now)

    def _note_refused(self, other: Other, refused: dict[str, str]) -> None:
        """Report each type of our own once that another can't send us."""
        former, other.refuses = other.refuses, {type_: refused[type_] for type_ in refused if self._wanted(type_)}
        for type_, reason in other.refuses.items():
            if former.get(type_) != reason:
                self._news.append(Refused(other.name, type_, reason, True))

    def _on_say(self, say: InterestSay, now: float) -> None:
        other = self._other(say.src, say.incarnation)
        if other is None or say.revision != self.revision:
            return
        if not say.full and say.counter != other.counter + 1:
            if say.counter > other.counter:
                self._ask_again(other, now)
            return
        other.counter = say.counter
        before = dict(other.wants)
        told = [entry.type for entry in say.entries]
        if say.full:
            other.wants = {}
            other.unfit = {type_: reason for type_, reason in other.unfit.items() if type_ in told}
            other.answered, other.excused = say.revision, False
            other.repeat, other.pause = math.inf, FIRST_REPEAT
        refused = [entry.type for entry in say.entries if not self._learn(other, entry)]
        changed = [type_ for type_ in {**before, **other.wants} if before.get(type_) != other.wants.get(type_)]
        if changed:
            self._news.append(Changed(other.name, tuple(changed)))
        if say.full:
            self._news.append(Answered(other.name))
        if refused:
            self.revise(now)

    def _learn(self, other: Other, entry: Interest) -> bool:
        """Take one entry; False if it does not fit, and that was not known before."""
        former = other.unfit.pop(entry.type, "")
        other.wants.pop(entry.type, None)
        if not entry.wanted or entry.type not in self.wishes:
            return True
        other.wants[entry.type] = entry
        reason = self._misfit(entry.type, entry.schema) if entry.schema else ""
        if not reason:
            return True
        other.unfit[entry.type] = reason
        if reason != former:
            self._news.append(Refused(other.name, entry.type, reason, False))
        return reason == former

    def _misfit(self, type_: str, schema: bytes) -> str:
        try:
            theirs = _read_schema(schema)
        except (msgspec.MsgspecError, RecursionError, ValueError, TypeError):
            return "its schema cannot be read"
        return self._fits(type_, theirs)

    def _on_digest(self, digest: Digest, now: float) -> None:
        other = self._other(digest.src, digest.incarnation)
        if other is None:
            return
        known = (self.revision, other.counter, _digest_of(other.wants.values()))
        if (digest.revision, digest.counter, digest.digest) != known:
            self._ask_again(other, now)

    # Frames out

    def _get(self, dst: str, refused: Iterable[tuple[str, str]]) -> InterestGet:
        wishes = [Wish(type_, fingerprint) for type_, fingerprint in self.wishes.items()]
        said = list(refused)[:MOST_REFUSED]
        return InterestGet(dst, self.node, 0, "", self.incarnation, self.revision, wishes, said)

    def _ask_again(self, other: Other, now: float) -> None:
        """Ask what it wants, and again until it answers; not while it is asked already, however often that is said."""
        if other.reachable and other.repeat == math.inf:
            self._frames.append((other.name, encode(self._get(other.name, other.unfit.items()))))
            self._expect(other, now)

    def _say(self, other: Other, entries: list[Interest], *, full: bool) -> None:
        say = InterestSay(
            other.name, self.node, 0, "", self.incarnation, other.revision, other.told_counter, full, entries
        )
        self._frames.append((other.name, encode(say)))

    def _digest(self, other: Other) -> Digest:
        digest = _digest_of(other.told.values())
        return Digest(other.name, self.node, 0, "", self.incarnation, other.revision, other.told_counter, digest)

    def _entries(self, other: Other) -> dict[str, Interest]:
        """What this router wants of another's wishes; the schema goes with it where the fingerprints differ."""
        entries, room = {}, MOST_SCHEMAS
        for type_, theirs in other.wishes.items():
            own = self._own(type_) if self._wanted(type_) else None
            if own is not None:
                schema = b"" if own.fingerprint == theirs else _schema(own.schema)
                schema = schema if len(schema) <= room else b""
                room -= len(schema)
                entries[type_] = Interest(type_, True, own.fingerprint, schema)
        return entries

    # Lives and timers

    def _other(self, name: str, incarnation: int) -> Other | None:
        """The state of a router; a new life begins with nothing; None for a frame of a former life."""
        other = self.others.get(name)
        if other is not None and incarnation < other.incarnation:
            return None
        if other is None or incarnation > other.incarnation:
            former, other = other, Other(name, incarnation)
            self.others[name] = other
            if former is not None:
                former.rest()
                # Until it has said otherwise: what is published meanwhile is held for it.
                other.wants, other.unfit = former.wants, former.unfit
        return other

    def _expect(self, other: Other, now: float) -> None:
        if other.repeat != math.inf:
            return
        other.repeat = now + other.pause
        heappush(self._wakes, (other.repeat, self._ticket(), other))

    def _plan_digest(self, other: Other, now: float, *, again: bool = False) -> None:
        if not self._ready or not other.reachable or (other.digest_at != math.inf and not again):
            return
        other.digest_at = now + DIGEST_EVERY
        heappush(self._wakes, (other.digest_at, self._ticket(), other))


def _digest_of(entries: Iterable[Interest]) -> int:
    """64 bits over what is wanted, and in which schema."""
    types = sorted([(entry.type, entry.fingerprint) for entry in entries])
    return int.from_bytes(hashlib.blake2b(_key(types), digest_size=8).digest(), "big")
