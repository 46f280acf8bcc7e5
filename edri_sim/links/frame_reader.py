"""Frames out of a stream of bytes. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

from edri_sim.links.frames import HEADER, MAX_FRAME, NAMES, BadFrame, RawFrame


class FrameReader:
    """Cuts a stream of bytes into frames; ``max_frame`` is the largest body, in bytes.

    What has come of a frame that is not whole is kept: at most one frame's bytes, and what one read brings.
    """

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self.max_frame = max_frame
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[RawFrame]:
        """Every frame that is whole now.

        Raises:
            BadFrame: the bytes are no frame; nothing that follows can be read.
        """
        buffer = self._buffer
        buffer += data
        start, size = 0, len(buffer)
        try:
            while size - start >= HEADER.size:
                length, number, flags, check = HEADER.unpack_from(buffer, start)
                if not 0 < length <= self.max_frame:
                    raise BadFrame("bad_length", f"a body of {length} bytes: expected 1 to {self.max_frame}")
                if number not in NAMES:
                    raise BadFrame("unknown_type", f"frame type {number}: expected 1 to {len(NAMES)}")
                end = start + HEADER.size + length
                if end > size:
                    break
                whole = bytes(buffer[start:end])
                body = whole[HEADER.size :]
                if crc32(body, number << 8 | flags) != check:
                    raise BadFrame("bad_crc", f"{NAMES[number]} of {length} bytes: its checksum does not fit")
                start = end
                yield RawFrame(number, flags, body, whole)
        finally:
            del buffer[:start]

    @property
    def partial(self) -> bool:
        """Whether a frame has begun that is not whole."""
        return bool(self._buffer)
