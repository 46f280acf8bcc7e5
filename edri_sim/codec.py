"""Values to MessagePack and JSON and back, strictly by their declared type.

What is strict, when encoding and when decoding:

- the class of a value is exactly the declared one: a bool is not an int, a subclass is not its base; but an int may
  stand where a float is declared (it arrives as a float), as Python's typing allows;
- ints have at most 64 bits; floats and Decimals are finite, save for :data:`NanFloat`;
- constraints of ``msgspec.Meta`` hold, and text is valid Unicode.

Constructors check nothing. Values that are equal, in what they hold and how they are written, give equal bytes,
whatever order their sets and dicts have; so a dict arrives with its keys in order.

JSON has no NaN: a NanFloat that is NaN is written as null, and null is read as NaN (but as None where the type allows
None too); an infinite one is an error in JSON. MessagePack takes both.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec

from edri_sim.encoding import strict_json
from edri_sim.encoding.canonical import compile_copy
from edri_sim.encoding.checks import DECODED, FOR_JSON, Misfit
from edri_sim.encoding.compatibility import compatible
from edri_sim.encoding.compiler import partial_check, whole_check
from edri_sim.encoding.schema import Schema, fingerprint_of, schema_of
from edri_sim.encoding.shapes import NAN_KEY, UntravellableType, check_shape, forget_caches, shape_of
from edri_sim.errors import CodecError, DeclarationError

__all__ = ["Codec", "NanFloat", "Schema", "codec_for", "compatible", "fingerprint_of"]

T = TypeVar("T")

NanFloat = Annotated[float, msgspec.Meta(extra={NAN_KEY: True})]
"""A float that may be NaN or infinite."""

_BAD_VALUE = (TypeError, ValueError, OverflowError, AttributeError, RecursionError)
_BAD_DATA = (msgspec.MsgspecError, ValueError, TypeError, RecursionError)

# "Expected `int`, got `str` - at `$.sizes[...].width`", or, for the key of a dict, "- at `key` in `$.sizes`".
_MSGSPEC_MESSAGE = re.compile(r"(?P<what>.*?)(?: - at (?P<key>`key\S*` in )?`\$(?P<path>[^`]*)`)?", re.DOTALL)


class Codec(Generic[T]):
    """Encodes and decodes the values of one type; make it with :func:`codec_for`."""

    __slots__ = (
        "_check",
        "_check_decoded",
        "_check_json",
        "_copy",
        "_decode",
        "_decode_json",
        "_encode",
        "_encode_json",
        "_schema",
        "_shape",
        "name",
        "type",
    )

    def __init__(self, type_: Any) -> None:
        self.type = type_
        self.name = type_name(type_)
        self._shape = _travelling_shape(type_, self.name)
        self._check = whole_check(self._shape)
        self._check_decoded = partial_check(self._shape, DECODED)
        self._check_json = partial_check(self._shape, FOR_JSON)
        self._copy = compile_copy(self._shape)
        order: Literal["deterministic"] | None = "deterministic" if self._copy is None else None
        self._encode = msgspec.msgpack.Encoder(order=order).encode
        self._encode_json = msgspec.json.Encoder(order=order).encode
        self._decode = msgspec.msgpack.Decoder(type_).decode
        self._decode_json = msgspec.json.Decoder(type_).decode
        self._schema: Schema | None = None
        forget_caches(self._shape)

    def __repr__(self) -> str:
        return f"<Codec of {self.name}>"

    def validate(self, value: T) -> None:
        """Check a value as :meth:`encode` does, without encoding it.

        Raises:
            CodecError: naming the type and the path to what does not fit.
        """
        try:
            self._check(value)
        except Misfit as misfit:
            raise self._misfit(misfit) from None
        except _BAD_VALUE as error:
            raise self._unfit(error) from error

    def encode(self, value: T) -> bytes:
        """The value as MessagePack.

        Raises:
            CodecError: naming the type and the path to what does not fit.
        """
        try:
            self._check(value)
            return self._encode(value if self._copy is None else self._copy(value))
        except Misfit as misfit:
            raise self._misfit(misfit) from None
        except _BAD_VALUE as error:
            raise self._unfit(error) from error

    def decode(self, buffer: bytes | bytearray | memoryview) -> T:
        """The value in a MessagePack buffer; fields that the type does not know are skipped.

        Raises:
            CodecError: naming the type and the path to what does not fit.
        """
        try:
            value: T = self._decode(buffer)
            if self._check_decoded is not None:
                self._check_decoded(value)
            return value
        except Misfit as misfit:
            raise self._misfit(misfit) from None
        except _BAD_DATA as error:
            raise self._unreadable(error) from error

    def to_json(self, value: T) -> bytes:
        """The value as JSON; NaN is written as null.

        Raises:
            CodecError: naming the type and the path to what does not fit.
        """
        self.validate(value)
        try:
            if self._check_json is not None:
                self._check_json(value)
            return self._encode_json(value if self._copy is None else self._copy(value))
        except Misfit as misfit:
            raise self._misfit(misfit) from None
        except _BAD_VALUE as error:
            raise self._unfit(error) from error

    def from_json(self, text: bytes | str, *, strict_fields: bool = True) -> T:
        """The value in a JSON text.

        With ``strict_fields`` a field that the type does not know is an error, else it is skipped.

        Raises:
            CodecError: naming the type and the path to what does not fit.
        """
        try:
            value = self._read_json(text, strict_fields)
        except Misfit as misfit:
            raise self._misfit(misfit) from None
        except _BAD_DATA as error:
            raise self._unreadable(error) from error
        self.validate(value)
        return value

    def _read_json(self, text: bytes | str, strict_fields: bool) -> T:
        if self._check_json is None:
            value: T = self._decode_json(text)
            if strict_fields:
                strict_json.read(self._shape, msgspec.json.decode(text), strict=True)
            return value
        raw = strict_json.read(self._shape, msgspec.json.decode(text), strict_fields)
        converted: T = msgspec.convert(raw, self.type, str_keys=True)
        forget_caches(self._shape)
        return converted

    @property
    def schema(self) -> Schema:
        """What the type looks like on the wire, as data that JSON can hold; the same in every process."""
        if self._schema is None:
            self._schema = schema_of(self._shape)
        return self._schema

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell one schema from another."""
        return fingerprint_of(self.schema)

    def _misfit(self, misfit: Misfit) -> CodecError:
        return CodecError(f"{self.name}{misfit}")

    def _unfit(self, error: Exception) -> CodecError:
        if isinstance(error, RecursionError):
            return CodecError(f"{self.name}: the value is nested too deeply, or contains itself")
        return CodecError(f"{self.name}: cannot be encoded: {error}")

    def _unreadable(self, error: Exception) -> CodecError:
        if isinstance(error, RecursionError):
            return CodecError(f"{self.name}: the data are nested too deeply")
        found = _MSGSPEC_MESSAGE.fullmatch(str(error))
        what, path = (found["what"], found["path"] or "") if found else (str(error), "")
        key = "[key]" if found and found["key"] else ""
        return CodecError(f"{self.name}{path}{key}: {what[:1].lower()}{what[1:].replace('`', '')}")


def _travelling_shape(type_: Any, name: str) -> Any:
    try:
        shape = shape_of(type_)
        check_shape(shape)
    except UntravellableType as error:
        raise DeclarationError(f"{name}{error.path}: {error}") from error
    return shape


def type_name(type_: Any) -> str:
    """A type as messages name it: the bare name of a class, else as it is written."""
    return type_.__name__ if isinstance(type_, type) else str(type_).replace("typing.", "")


_codecs: dict[Any, Codec[Any]] = {}


def codec_for(type_: Any) -> Codec[Any]:
    """The codec of a type, made once.

    Raises:
        DeclarationError: values of the type cannot be encoded, or the type says nothing of what is in them.
    """
    codec = _codecs.get(type_)
    if codec is None:
        codec = _codecs[type_] = Codec(type_)
    return codec
