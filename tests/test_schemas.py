"""Schemas: what one version writes, another reads; ``compatible`` says beforehand whether it will."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edri_sim.codec import NanFloat, codec_for, compatible
from edri_sim.errors import CodecError
from tests.codec_types import Cat, Colour, Dog, Everything, Point, Resize


def problems(writer: Any, reader: Any) -> tuple[str, ...]:
    return compatible(codec_for(writer).schema, codec_for(reader).schema)


@dataclass(frozen=True)
class Old:
    image: str
    width: int = 128


@dataclass(frozen=True)
class New:
    image: str
    width: float = 128
    quality: int = 80
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stricter:
    image: str
    quality: int
    width: int = 128


@dataclass(frozen=True)
class Tree:
    name: str
    children: list[Tree] = field(default_factory=list)


@dataclass(frozen=True)
class NewTree:
    name: str | None
    children: list[NewTree] = field(default_factory=list)
    depth: int = 0


@dataclass(frozen=True)
class BadTree:
    children: list[BadTree]
    name: int


@dataclass(frozen=True)
class Leaf:
    value: Tree | None = None


@dataclass(frozen=True)
class BadLeaf:
    value: BadTree | None = None


class Total(TypedDict):
    a: int


class Partial(TypedDict, total=False):
    a: int


class Pair(NamedTuple):
    a: int
    b: str = "b"


class Triple(NamedTuple):
    a: int
    b: str = "b"
    c: float = 0.0


class Flat(msgspec.Struct, array_like=True):
    a: int


class FlatTwo(msgspec.Struct, array_like=True):
    a: int
    b: int


class Terse(msgspec.Struct, omit_defaults=True):
    a: int = 1


class Closed(msgspec.Struct, forbid_unknown_fields=True):
    image: str


class OldCat(msgspec.Struct, tag="cat"):
    lives: int


@dataclass(frozen=True)
class NeedsA:
    a: int


# ------------------------------------------------------------------------------------------------ version N and N + 1


def test_a_new_field_with_a_default_and_a_wider_type_are_compatible() -> None:
    assert problems(Old, New) == ()
    assert codec_for(New).decode(codec_for(Old).encode(Old("a", 3))) == New("a", 3.0)


def test_unknown_fields_are_skipped_by_the_older_reader() -> None:
    assert problems(Stricter, Old) == ()
    assert codec_for(Old).decode(codec_for(Stricter).encode(Stricter("a", 1))) == Old("a")


def test_recursive_types_are_compared_once() -> None:
    assert problems(Tree, NewTree) == ()
    tree = Tree("a", [Tree("b", [Tree("c")])])
    assert codec_for(NewTree).decode(codec_for(Tree).encode(tree)).children[0].children[0] == NewTree("c")


REFUSED: list[tuple[Any, Any, Any, tuple[str, ...]]] = [
    (Old, Stricter, Old("a"), ("quality: the reader requires it, and the writer does not always send it",)),
    (New, Old, New("a", 1.5), ("width: the writer sends float, the reader takes int",)),
    (NewTree, Tree, NewTree(None), ("name: the writer sends null, the reader takes str",)),
    (Tree, BadTree, Tree("a"), ("name: the writer sends str, the reader takes int",)),
    (Leaf, BadLeaf, Leaf(Tree("a")), ("value: the writer sends class, the reader takes class | null",)),
    (Partial, Total, {}, ("a: the reader requires it, and the writer does not always send it",)),
    (Terse, NeedsA, Terse(), ("a: the reader requires it, and the writer does not always send it",)),
    (Resize, Closed, Resize("a"), ("share: the reader forbids", "width: the reader forbids")),
    (Triple, Pair, Triple(1), ("the value: the writer sends 3 items, the reader takes 2",)),
    (Flat, FlatTwo, Flat(1), ("the value: the writer sends 1 items, the reader requires more",)),
    (tuple[int, str], tuple[int, int], (1, "a"), ("[1]: the writer sends str, the reader takes int",)),
    (list[int], list[str], [1], ("[]: the writer sends int, the reader takes str",)),
    (dict[str, int], dict[str, str], {"a": 1}, ("[]: the writer sends int, the reader takes str",)),
    (dict[str, int], dict[int, int], {"a": 1}, ("[key]: the writer sends str, the reader takes int",)),
    (int | str, int, "a", ("the value: the writer sends str, the reader takes int",)),
    (str, int | None, "a", ("the value: the writer sends str, the reader takes int | null",)),
    (Colour, Literal["red"], Colour.BLUE, ("the value: the reader does not know 'blue'",)),
    (NanFloat, float, math.nan, ("the value: the writer sends nan_float, the reader takes float",)),
    (int, Annotated[int, msgspec.Meta(ge=0)], -1, ("the value: the reader demands ge=0, and the writer does not",)),
    (list[int], Annotated[list[int], msgspec.Meta(max_length=1)], [1, 2], ("the value: the reader demands",)),
    (Cat | Dog, Cat, Dog("a"), ("the value: the writer and the reader tell its class or its shape differently",)),
    (Cat, OldCat, Cat(1), ("the value: the writer and the reader tell its class or its shape differently",)),
]


@pytest.mark.parametrize(("writer", "reader", "value", "expected"), REFUSED)
def test_what_is_incompatible_is_named_by_path_and_does_fail(
    writer: Any, reader: Any, value: Any, expected: tuple[str, ...]
) -> None:
    found = problems(writer, reader)
    assert len(found) == len(expected), found
    assert all(map(str.startswith, found, expected)), found
    with pytest.raises(CodecError):
        codec_for(reader).decode(codec_for(writer).encode(value))


ACCEPTED: list[tuple[Any, Any, Any]] = [
    (Pair, Triple, Pair(1)),
    (FlatTwo, Flat, FlatTwo(1, 2)),
    (Total, Partial, {"a": 1}),
    (NeedsA, Terse, NeedsA(3)),
    (Cat, Cat | Dog, Cat(1)),
    (Colour, str, Colour.RED),
    (Literal[1, 2], int, 1),
    (Literal["red"], Colour, "red"),
    (int, int | str, 1),
    (int, float | None, 1),
    (list[int], tuple[float, ...], [1]),
    (set[int], frozenset[int], {1}),
    (Annotated[int, msgspec.Meta(ge=0)], int, 1),
    (Annotated[int, msgspec.Meta(ge=0)], Annotated[int, msgspec.Meta(ge=0)], 1),
    (Everything, Everything, None),
]


@pytest.mark.parametrize(("writer", "reader", "value"), ACCEPTED)
def test_what_is_compatible_is_read(writer: Any, reader: Any, value: Any) -> None:
    assert problems(writer, reader) == ()
    if value is not None:
        codec_for(reader).decode(codec_for(writer).encode(value))


# Types whose samples show every difference: whatever another type of the table cannot read fails for one of them.
SAMPLES: list[tuple[Any, list[Any]]] = [
    (int, [-5]),
    (bool, [True]),
    (str, ["zz"]),
    (float, [1.5]),
    (NanFloat, [math.nan, 1.5]),
    (bytes, [b"\xff"]),
    (int | None, [None, 1]),
    (str | int, ["zz", 1]),
    (list[int], [[1]]),
    (list[str], [["zz"]]),
    (list[int | None], [[1], [None]]),
    (dict[str, int], [{"zz": 1}]),
    (dict[str, list[str]], [{"zz": ["zz"]}]),
    (dict[int, int], [{1: 1}]),
    (Colour, [Colour.RED, Colour.BLUE]),
    (Literal["red"], ["red"]),
    (Point, [Point(1.5)]),
    (Point | None, [None, Point(1.5)]),
    (Tree, [Tree("zz", [Tree("zz")])]),
    (list[BadTree], [[BadTree([], 1)]]),
]

fields = st.dictionaries(st.sampled_from("abc"), st.tuples(st.sampled_from(range(len(SAMPLES))), st.booleans()))


def make_class(described: dict[str, tuple[int, bool]]) -> Any:
    members = []
    for name, (index, optional) in described.items():
        type_, (sample, *_) = SAMPLES[index]
        default = {"default_factory": lambda sample=sample: sample} if optional else {}
        members.append((name, type_, field(kw_only=True, **default)))
    return dataclasses.make_dataclass("Made", members, frozen=True)


def reads_all(writer: Any, reader: Any) -> bool:
    samples = {each.name: next(s for t, s in SAMPLES if t == each.type) for each in dataclasses.fields(writer)}
    for values in itertools.product(*samples.values()):
        data = codec_for(writer).encode(writer(**dict(zip(samples, values, strict=True))))
        try:
            codec_for(reader).decode(data)
        except CodecError:
            return False
    return True


def test_compatible_agrees_for_each_pair_of_types() -> None:
    for one, other in itertools.product(range(len(SAMPLES)), repeat=2):
        writer, reader = make_class({"a": (one, False)}), make_class({"a": (other, False)})
        assert (problems(writer, reader) == ()) == reads_all(writer, reader), (SAMPLES[one][0], SAMPLES[other][0])


def test_a_recursive_type_is_checked_all_the_way_down() -> None:
    with pytest.raises(CodecError, match=r"^Tree\.children\[1\]\.children\[0\]\.name: expected str, got int$"):
        codec_for(Tree).encode(Tree("a", [Tree("b"), Tree("c", [Tree(3)])]))  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(fields, fields)
def test_compatible_agrees_with_what_really_happens(one: Any, other: Any) -> None:
    writer, reader = make_class(one), make_class(other)
    assert (problems(writer, reader) == ()) == reads_all(writer, reader)


# ---------------------------------------------------------------------------------------------------- the schema itself


def test_a_schema_is_plain_data_and_does_not_depend_on_order_or_names() -> None:
    schema = codec_for(Everything).schema
    assert json.loads(json.dumps(schema)) == schema

    @dataclass
    class Same:
        width: int = 3
        image: str = field(kw_only=True)

    assert codec_for(Same).fingerprint == codec_for(Old).fingerprint
    assert codec_for(Old).schema == {
        "type": {"kind": "class", "number": 0},
        "classes": [
            {
                "kind": "object",
                "open": True,
                "fields": {
                    "image": {"type": "str", "presence": "required"},
                    "width": {"type": "int", "presence": "default"},
                },
            }
        ],
    }
    assert codec_for(int | str).schema == codec_for(str | int).schema
    assert codec_for(Cat | Dog).schema == codec_for(Dog | Cat).schema


def test_the_fingerprint_is_the_same_on_every_python() -> None:
    assert codec_for(Everything).fingerprint == "1b483d54d8c8a0cb"
    assert codec_for(Old).fingerprint != codec_for(New).fingerprint


JUNK: list[Any] = [{}, {"type": "int", "classes": []}, {"type": {"kind": "class"}, "classes": [3]}, [], 3]


@pytest.mark.parametrize("junk", JUNK)
def test_a_schema_from_outside_may_be_junk(junk: Any) -> None:
    assert compatible(junk, codec_for(Old).schema) != ()
    assert compatible(codec_for(Old).schema, junk) != ()
