"""The codec: what goes in comes out, and what does not fit is refused at both ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edri_sim.codec import codec_for
from edri_sim.errors import CodecError, DeclarationError
from tests.codec_types import (
    FIRST,
    Cat,
    Colour,
    Dog,
    Everything,
    Level,
    Noisy,
    Options,
    Point,
    Resize,
    Row,
    nested,
)

thorough = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@thorough
@given(nested)
def test_messagepack_round_trip(value: Everything) -> None:
    codec = codec_for(Everything)
    again = codec.decode(codec.encode(value))
    assert again == value
    assert codec.encode(again) == codec.encode(value)


@thorough
@given(nested)
def test_json_round_trip(value: Everything) -> None:
    codec = codec_for(Everything)
    assert codec.from_json(codec.to_json(value)) == value
    assert codec.from_json(codec.to_json(value).decode()) == value


@given(st.lists(st.floats()))
def test_declared_nan_and_infinity_pass_messagepack(many: list[float]) -> None:
    codec = codec_for(Noisy)
    again = codec.decode(codec.encode(Noisy(math.nan, many)))
    assert math.isnan(again.one)
    assert list(map(repr, again.many)) == list(map(repr, many))


def test_json_writes_nan_as_null_and_reads_it_back() -> None:
    codec = codec_for(Noisy)
    assert codec.to_json(Noisy(math.nan, [1.0, math.nan])) == b'{"one":null,"many":[1.0,null],"maybe":null}'
    again = codec.from_json(b'{"one":null,"many":[1,null],"maybe":null}')
    assert math.isnan(again.one)
    assert again.many[0] == 1.0
    assert math.isnan(again.many[1])
    assert again.maybe is None
    with pytest.raises(CodecError, match=r"^Noisy\.many\[1\]: expected a float that JSON can write, got inf$"):
        codec.to_json(Noisy(0.0, [0.0, math.inf]))
    with pytest.raises(CodecError, match=r"^Noisy: expected one of the fields .*, got the unknown field 'x'"):
        codec.from_json(b'{"one":1,"x":1}')
    assert codec.from_json(b'{"one":1,"x":1}', strict_fields=False) == Noisy(1.0)


# ---------------------------------------------------------------------------------------------------- what is refused

UNFIT: list[tuple[Any, Any, str]] = [
    (Resize, Resize(3), r"Resize\.image: expected str, got int"),  # type: ignore[arg-type]
    (Resize, Resize("a", "x"), r"Resize\.width: expected int, got str"),  # type: ignore[arg-type]
    (Resize, Resize("a", True), r"Resize\.width: expected int, got bool"),
    (Resize, Resize("a", 1.0), r"Resize\.width: expected int, got float"),  # type: ignore[arg-type]
    (Resize, Resize("a", Level.LOW), r"Resize\.width: expected int, got Level"),
    (Resize, Resize("a", 2**64), r"Resize\.width: expected an int from -2\*\*63 to 2\*\*64-1, got one of 65 bits"),
    (Resize, Resize("a", -(2**63) - 1), r"Resize\.width: expected an int from"),
    (Resize, Resize("a", 1, math.nan), r"Resize\.share: expected a finite float, got nan"),
    (Resize, Resize("a", 1, -math.inf), r"Resize\.share: expected a finite float, got -inf"),
    (Resize, Resize("a", 1, 2**70), r"Resize\.share: expected an int from"),
    (Resize, Resize("a", 1, False), r"Resize\.share: expected float, got bool"),
    (Resize, Resize("a", 1, "1"), r"Resize\.share: expected float, got str"),  # type: ignore[arg-type]
    (Resize, Resize("\ud800"), r"Resize\.image: expected text of valid Unicode"),
    (Resize, Point(1.0), r"Resize: expected Resize, got Point"),
    (Resize, None, r"Resize: expected Resize, got NoneType"),
    (Noisy, Noisy(1, ["a"]), r"Noisy\.many\[0\]: expected float, got str"),  # type: ignore[list-item]
    (list[int], [1, 2, "3"], r"list\[int\]\[2\]: expected int, got str"),
    (list[int], (1, 2), r"list\[int\]: expected list, got tuple"),
    (list[list[int]], [[1], [2, None]], r"\[1\]\[1\]: expected int, got NoneType"),
    (list[str], ["a", b"b"], r"\[1\]: expected str, got bytes"),
    (list[float], [0.5, math.nan], r"\[1\]: expected a finite float, got nan"),
    (list[int], [1, 2**64], r"\[1\]: expected an int from"),
    (list[int], [1, True], r"\[1\]: expected int, got bool"),
    (list[bool], [True, 1], r"\[1\]: expected bool, got int"),
    (list[float], [1.0, math.inf, -math.inf], r"\[1\]: expected a finite float, got inf"),
    (set[int], {1, "a"}, r"set\[int\]\[\.\.\.\]: expected int, got str"),
    (tuple[int, str], (1, "a", 2), r": expected 2 items, got 3"),
    (tuple[int, str], (1, 2), r"\[1\]: expected str, got int"),
    (dict[str, int], {"a": "b"}, r"\[\.\.\.\]: expected int, got str"),
    (dict[str, int], {1: 1}, r"\[key\]: expected str, got int"),
    (int | str, 1.5, r": expected int \| str, got float"),
    (int | None, "a", r": expected int \| None, got str"),
    (int | float, math.nan, r": expected a finite float, got nan"),
    (Cat | Dog, Point(1.0), r": expected Cat \| Dog, got Point"),
    (Literal["a", 3], "b", r": expected one of 3, 'a', got another value"),
    (Literal[1, 2], True, r": expected one of 1, 2, got bool"),
    (Colour, "red", r"Colour: expected Colour, got str"),
    (Decimal, Decimal("NaN"), r"Decimal: expected a finite Decimal, got NaN"),
    (datetime, date(2020, 1, 1), r"datetime: expected datetime, got date"),
    (date, FIRST, r"date: expected date, got datetime"),
    (Row, Row("a"), r"Row\[0\]: expected int, got str"),  # type: ignore[arg-type]
    (Row, (1, "b"), r"Row: expected Row, got tuple"),
    (Options, {"deep": ["a"]}, r"Options\.deep\[0\]: expected int, got str"),
    (Options, {"other": 1}, r"Options: expected one of the keys deep, name, got another key"),
    (Annotated[int, msgspec.Meta(ge=0)], -1, r"expected int >= 0"),
    (Annotated[str, msgspec.Meta(pattern="^a")], "b", r"expected str matching regex"),
    (Annotated[list[int], msgspec.Meta(min_length=1, max_length=2)], [], r"expected from 1 to 2 items, got 0"),
    (Annotated[list[int], msgspec.Meta(min_length=1)], [], r"expected from 1 to any number of items, got 0"),
    (Annotated[bytes, msgspec.Meta(max_length=1)], b"ab", r"expected bytes of length <= 1"),
    (Annotated[datetime, msgspec.Meta(tz=True)], FIRST, r"expected datetime with a timezone"),
]


@pytest.mark.parametrize("method", ["encode", "to_json", "validate"])
@pytest.mark.parametrize(("type_", "value", "message"), UNFIT)
def test_a_value_that_does_not_fit_is_refused_before_it_is_encoded(
    type_: Any, value: Any, message: str, method: str
) -> None:
    with pytest.raises(CodecError, match=message):
        getattr(codec_for(type_), method)(value)


UNREADABLE: list[tuple[Any, Any, str]] = [
    (Resize, {"image": 3}, r"^Resize\.image: expected str, got int$"),
    (Resize, {"image": "a", "width": True}, r"^Resize\.width: expected int, got bool$"),
    (Resize, {"image": "a", "width": "1"}, r"^Resize\.width: expected int, got str$"),
    (Resize, {"image": "a", "width": 1.5}, r"^Resize\.width: expected int, got float$"),
    (Resize, {"width": 1}, r"^Resize: object missing required field image$"),
    (Resize, [], r"^Resize: expected object, got array$"),
    (Everything | None, {"flag": 1}, r": expected bool, got int$"),
    (list[Resize], [{"image": "a"}, {"image": None}], r"^list\[.*Resize\]\[1\]\.image: expected str, got (null|None)$"),
    (dict[str, list[int]], {"a": ["b"]}, r"\[\.\.\.\]\[0\]: expected int, got str$"),
    (Literal["a"], "b", r": invalid enum value 'b'$"),
]


@pytest.mark.parametrize(("type_", "data", "message"), UNREADABLE)
def test_data_that_do_not_fit_are_refused(type_: Any, data: Any, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        codec_for(type_).decode(msgspec.msgpack.encode(data))
    with pytest.raises(CodecError, match=message):
        codec_for(type_).from_json(msgspec.json.encode(data))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_undeclared_nan_is_refused_when_it_comes_from_outside(bad: float) -> None:
    with pytest.raises(CodecError, match=r"^Resize\.share: expected a finite float, got (nan|-?inf)$"):
        codec_for(Resize).decode(msgspec.msgpack.encode({"image": "a", "share": bad}))
    with pytest.raises(CodecError, match=r"\[1\]\.x: expected a finite float"):
        codec_for(list[Point | int]).decode(msgspec.msgpack.encode([1, {"x": bad}]))
    with pytest.raises(CodecError, match="expected a finite Decimal"):
        codec_for(Decimal).decode(msgspec.msgpack.encode(str(bad)))


def test_a_key_of_the_wrong_type_is_told_as_a_key() -> None:
    with pytest.raises(CodecError, match=r"^dict\[int, int\]\[key\]: expected int, got str$"):
        codec_for(dict[int, int]).decode(msgspec.msgpack.encode({"a": 1}))


@pytest.mark.parametrize("junk", [b"", b"\xc1", b"\x81\xa5image", b"\x81\xa5image\xa1\xff", b"\x81\xa5image\xa1a\x00"])
def test_junk_is_a_codec_error(junk: bytes) -> None:
    with pytest.raises(CodecError, match=r"^Resize"):
        codec_for(Resize).decode(junk)
    with pytest.raises(CodecError, match=r"^Resize"):
        codec_for(Resize).from_json(junk)


@given(st.binary(max_size=64))
def test_any_bytes_give_a_value_or_a_codec_error(junk: bytes) -> None:
    for read in (codec_for(Everything).decode, codec_for(Everything).from_json, codec_for(Noisy).from_json):
        with pytest.raises(CodecError):
            read(junk)


def test_json_ints_have_at_most_64_bits() -> None:
    with pytest.raises(CodecError, match=r"^Resize\.width: expected an int from"):
        codec_for(Resize).from_json(b'{"image":"a","width":%d}' % 2**80)


def test_depth_and_cycles_are_codec_errors() -> None:
    @dataclass
    class Chain:
        next: Chain | None = None

    Chain.__annotations__["next"] = Chain | None
    loop = Chain()
    loop.next = loop
    codec = codec_for(Chain)
    with pytest.raises(CodecError, match="Chain: the value is nested too deeply, or contains itself"):
        codec.encode(loop)
    with pytest.raises(CodecError, match="Chain: the data are nested too deeply"):
        codec.decode(b"\x81\xa4next" * 100_000 + b"\xc0")


def test_a_type_that_cannot_travel_has_no_codec() -> None:
    with pytest.raises(DeclarationError, match=r"a Callable cannot travel"):
        codec_for(list[Callable[[], int]])
    with pytest.raises(DeclarationError, match=r"Any .* says nothing"):
        codec_for(dict[str, Any])


def test_aware_datetimes_keep_their_instant() -> None:
    codec = codec_for(datetime)
    local = datetime(2020, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert codec.decode(codec.encode(local)) == local.astimezone(UTC)


def test_an_int_may_stand_for_a_float_and_arrives_as_one() -> None:
    again = codec_for(Resize).decode(codec_for(Resize).encode(Resize("a", 1, 2)))
    assert (again.share, type(again.share)) == (2.0, float)


def test_large_numbers_in_a_collection_are_not_mistaken_for_bad_ones() -> None:
    large = [(list[float], [1.7e308, 1.7e308]), (list[int], [2**64 - 1, -(2**63)]), (list[float], [1, 2.5])]
    for type_, value in large:
        assert codec_for(type_).decode(codec_for(type_).encode(value)) == value


def test_a_codec_is_made_once() -> None:
    assert codec_for(Resize) is codec_for(Resize)
    assert repr(codec_for(Resize)) == "<Codec of Resize>"
