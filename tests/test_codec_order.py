"""Unknown fields in JSON, and equal bytes for equal values."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edri_sim.codec import codec_for
from edri_sim.errors import CodecError
from tests.codec_types import (
    Cat,
    Dog,
    Flat,
    Options,
    Point,
    Resize,
    small,
    texts,
)

UNKNOWN: list[tuple[Any, bytes, str]] = [
    (Resize, b'{"image":"a","x":1}', r"^Resize: expected .* image, width, share, got the unknown field 'x'$"),
    (list[Resize], b'[{"image":"a"},{"image":"a","x":1}]', r"\[1\]: expected one of"),
    (frozenset[Point], b'[{"x":1,"z":1}]', r"\[0\]: expected one of the fields x, y"),
    (Resize | None, b'{"image":"a","x":1}', r"unknown field 'x'"),
    (dict[str, Point], b'{"a":{"x":1,"z":2}}', r"\[\.\.\.\]: .*'z'"),
    (Options, b'{"x":1}', r"unknown field 'x'"),
    (Cat | Dog, b'{"type":"Cat","lives":9,"x":1}', r"unknown field 'x'"),
    (Flat, b'["a","b","c"]', r"Flat: expected at most 2 items, got 3"),
    (tuple[int, Point], b'[1,{"x":1,"z":2}]', r"\[1\]: .*'z'"),
]


@pytest.mark.parametrize(("type_", "text", "message"), UNKNOWN)
def test_an_unknown_field_is_an_error_in_json_only(type_: Any, text: bytes, message: str) -> None:
    codec = codec_for(type_)
    with pytest.raises(CodecError, match=message):
        codec.from_json(text)
    expected = codec.from_json(text, strict_fields=False)
    assert codec.decode(msgspec.msgpack.encode(msgspec.json.decode(text))) == expected


PRINT_BYTES = """
from datetime import UTC
from edri_sim.codec import codec_for
from tests.codec_types import *
value = (
    frozenset({"a", "b", "c", "d"}), {Point(1.0), Point(2.0)}, {3: {"y": 1, "x": 2}, -1: {}}, {Colour.RED, Colour.BLUE},
    {"b": {1, 2}, "a": {3}}, {Cat(1), Dog("a"), Dog("b")}, Row(1), {None, 1, "a"}, {"name": "n", "deep": [1]},
    {datetime(2020, 1, 1, tzinfo=UTC): {"q", "r"}},
)
type_ = tuple[
    frozenset[str], set[Point], dict[int, dict[str, int]], set[Colour], dict[str, set[int]], set[Cat | Dog], Row,
    set[int | str | None], Options, dict[datetime, set[str]],
]
codec = codec_for(type_)
assert codec.decode(codec.encode(value)) == value
print(codec.encode(value).hex(), codec.to_json((*value[:5], set(), *value[6:])).hex(), codec.fingerprint)
print(codec_for(Everything).fingerprint)
"""


def test_equal_values_give_equal_bytes_under_any_hash_seed() -> None:
    outputs = []
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path.cwd())}
        command = [sys.executable, "-c", PRINT_BYTES]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert outputs[0].strip()
    assert outputs[0] == outputs[1] == outputs[2]


@given(st.dictionaries(texts, small), st.dictionaries(small, texts), st.randoms())
def test_the_order_of_a_dict_does_not_show(by_name: dict[str, int], by_number: dict[int, str], shuffle: Any) -> None:
    for type_, value in ((dict[str, int], by_name), (dict[int, str], by_number)):
        items = list(value.items())
        shuffle.shuffle(items)
        codec = codec_for(type_)
        assert codec.encode(dict(items)) == codec.encode(value)
        assert codec.to_json(dict(items)) == codec.to_json(value)
