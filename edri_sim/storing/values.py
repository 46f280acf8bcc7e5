"""Values to MessagePack and back: by their type where that is given, else as plain data."""

from __future__ import annotations

from typing import Any, TypeVar, overload

import msgspec

from edri_sim.codec import codec_for
from edri_sim.errors import CodecError

T = TypeVar("T")

_PLAIN = (list, dict, tuple, set, frozenset)
"""Containers that do not say what is in them."""
_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder().decode
_skim = msgspec.msgpack.Decoder(msgspec.Raw).decode


def pack(value: Any, type: Any = None) -> bytes:  # noqa: A002 - as msgspec calls it
    """A value as MessagePack.

    It is checked against ``type``, by default its own class; a bare list, dict, tuple or set is plain data.

    Raises:
        CodecError: the value, or something in it, does not fit or cannot be encoded.
        DeclarationError: nothing of this type can be encoded.
    """
    if type is not None:
        return codec_for(type).encode(value)
    if not isinstance(value, _PLAIN) or hasattr(value, "_fields"):
        return codec_for(value.__class__).encode(value)
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CodecError(f"a {value.__class__.__name__} cannot be stored: {error}") from error


@overload
def unpack(data: bytes) -> Any: ...


@overload
def unpack(data: bytes, type: type[T]) -> T: ...


def unpack(data: bytes, type: Any = None) -> Any:  # noqa: A002
    """What :func:`pack` has packed, as a ``type``; without one as plain data: numbers, text, bytes, lists and dicts.

    Raises:
        CodecError: the data do not fit the type.
    """
    if type is not None:
        return codec_for(type).decode(data)
    try:
        return _decode(data)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise CodecError(f"a value of {len(data)} bytes cannot be read: {error}") from error


def read(key: str, version: int, data: bytes, type: Any) -> Any:  # noqa: A002
    """What a key has, as :func:`unpack` gives it. Raises CodecError, which names the key and its version."""
    try:
        return unpack(data, type)
    except CodecError as error:
        raise CodecError(f"key {key!r}, version {version}: {error}") from error


def well_formed(data: bytes) -> bool:
    """Whether these are the bytes of one value, and nothing more."""
    try:
        _skim(data)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True
