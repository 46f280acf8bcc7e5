"""The rows of one process in a file, which outlives a SIGKILL, and the rows of many processes as those of one run."""

from __future__ import annotations

import heapq
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from edri_sim import trace
from edri_sim.trace import BLOCK, COLUMNS, Recorder

_LENGTH = struct.Struct("<I")
_ROW = struct.Struct(f"<{len(COLUMNS)}q")

Row = tuple[int, ...]
Counts = dict[int, tuple[int, int, int, dict[str, int]]]
"""Of each load, by its number in the scenario: what was offered, ended, missed, and failed by the code of the error."""


class Piece(msgspec.Struct, array_like=True):
    """What is appended at once: names and slots that are new, rows, and how things stand now."""

    names: list[str]
    slots: dict[str, int]
    rows: bytes
    lost: int
    counts: Counts


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Piece).decode


class RowFile:
    """Where a process writes its rows: what was written is there, however the process ends.

    ``counts`` is asked, each time, for how its loads stand. At most ``cap`` rows are kept (0: all).
    """

    def __init__(self, path: Path, cap: int, counts: Callable[[], Counts]) -> None:
        self.recorder = Recorder(cap=cap, keep=self._write)
        self._counts = counts
        self._known = 0
        self._slots: dict[str, int] = {}
        self._file: BinaryIO = path.open("ab", buffering=0)

    def flush(self) -> None:
        """Write what there is."""
        self.recorder.seal()
        self._write(b"")

    def _write(self, rows: bytes) -> None:
        recorder = self.recorder
        names = recorder.names.list()[self._known :]
        self._known += len(names)
        slots = {} if self._slots == recorder.slots else dict(recorder.slots)
        self._slots.update(slots)
        body = _encode(Piece(names, slots, rows, recorder.lost, self._counts()))
        self._file.write(_LENGTH.pack(len(body)) + body)

    def close(self) -> None:
        """Write what there is, and write no more."""
        self.flush()
        self._file.close()


class Life:
    """What the process that wrote ``path`` has left; ``known`` numbers its names as those of the whole run."""

    def __init__(self, path: Path) -> None:
        self.names: list[str] = []
        self.slots: dict[str, int] = {}
        self.lost = 0
        self.counts: Counts = {}
        self._blocks: list[bytes] = []
        for piece in _pieces(path):
            self.names += piece.names
            self.slots |= piece.slots
            self.lost, self.counts = piece.lost, piece.counts
            self._blocks.append(piece.rows)

    def rows(self) -> Iterator[Row]:
        """Its rows, in their order."""
        for block in self._blocks:
            yield from _ROW.iter_unpack(block)


def _pieces(path: Path) -> Iterator[Piece]:
    """The pieces of a file that were written whole; none of a process that did not come to write."""
    data = path.read_bytes() if path.exists() else b""
    start = 0
    while start + _LENGTH.size <= len(data):
        end = start + _LENGTH.size + _LENGTH.unpack_from(data, start)[0]
        if end > len(data):
            return
        yield _decode(data[start + _LENGTH.size : end])
        start = end


def merge(lives: Iterable[Life], own: Recorder, cap: int) -> Recorder:
    """The rows of all these processes and our ``own``, in the order of their times, as those of one recorder.

    Processes of one machine share the monotonic clock that rows are written by, so that their times need no
    correction. At most ``cap`` rows are kept (0: all).
    """
    merged = Recorder(cap=cap)
    sources = [(own.names.list(), own.slots, own.rows())]
    for life in lives:
        sources.append((life.names, life.slots, life.rows()))
        merged.lost += life.lost
    renamed = []
    for names, slots, rows in sources:
        renamed.append(_renamed(rows, [merged.names.number(name) for name in names]))
        merged.slots.update(slots)
    for row in heapq.merge(*renamed, key=_time):
        merged.open.extend(row)
        if len(merged.open) >= BLOCK:
            merged.seal()
    merged.seal()
    return merged


def _time(row: Row) -> int:
    return row[0]


def _renamed(rows: Iterable[Row], new: list[int]) -> Iterator[Row]:
    """The same rows, with the names of another recorder."""
    for time, stage, node, component, origin, number, kind, detail in rows:
        there = new[origin] if number else 0  # What is about a link or a fault is about no event, and of no origin.
        yield time, stage, new[node], new[component], there, number, new[kind], _detail(stage, origin, detail, new)


def _detail(stage: int, origin: int, detail: int, new: list[int]) -> int:
    if trace.FAILED <= stage <= trace.GIVEN_UP:
        return new[detail]
    found = trace.cause_of(origin, detail) if stage == trace.CREATED else None
    return detail if found is None else trace.cause_detail(new[found[0]], found[1], new[origin])
