"""Types of every kind that travels, and Hypothesis strategies for their values."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Literal, NamedTuple, NewType, TypedDict
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from edri_sim.codec import NanFloat


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Row(NamedTuple):
    a: int
    b: str = "b"


class Options(TypedDict, total=False):
    deep: list[int]
    name: str


class Cat(msgspec.Struct, tag=True, frozen=True):
    lives: int


class Dog(msgspec.Struct, tag=True, frozen=True):
    name: str


class Flat(msgspec.Struct, array_like=True, rename="camel", frozen=True):
    first_name: str
    last_name: str = ""


FIRST, LAST = (datetime.fromisoformat(text) for text in ("1000-01-02", "9000-01-01"))

UserId = NewType("UserId", int)


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    y: float = 0.0


@dataclass(frozen=True, slots=True)
class Everything:
    flag: bool
    count: int
    share: float
    text: str
    data: bytes
    when: datetime
    day: date
    hour: time
    span: timedelta
    key: UUID
    money: Decimal
    colour: Colour
    level: Level
    choice: Literal["a", "b", 3]
    user: UserId
    maybe: Point | None
    either: int | str | list[int]
    numbers: list[int]
    names: set[str]
    points: frozenset[Point]
    pairs: tuple[tuple[int, str], ...]
    row: Row
    options: Options
    pet: Cat | Dog
    flat: Flat
    by_name: dict[str, int]
    by_number: dict[int, Point]
    short: Annotated[str, msgspec.Meta(max_length=5)]
    children: tuple[Everything, ...] = ()


@dataclass(frozen=True, slots=True)
class Resize:
    image: str
    width: int = 128
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Noisy:
    one: NanFloat
    many: list[NanFloat] = field(default_factory=list)
    maybe: NanFloat | None = None


ints = st.integers(-(2**63), 2**64 - 1)
small = st.integers(-(2**31), 2**31)
finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))
minutes = st.integers(-1400, 1400).map(lambda count: timedelta(minutes=count))
points = st.builds(Point, finite, finite)


def everything(children: st.SearchStrategy[tuple[Everything, ...]]) -> st.SearchStrategy[Everything]:
    return st.builds(
        Everything,
        flag=st.booleans(),
        count=ints,
        share=finite,
        text=texts,
        data=st.binary(),
        when=st.datetimes(FIRST, LAST, timezones=st.none() | minutes.map(timezone)),
        day=st.dates(),
        hour=st.times(),
        span=st.timedeltas(timedelta(days=-99999), timedelta(days=99999)),
        key=st.uuids(),
        money=st.decimals(allow_nan=False, allow_infinity=False),
        colour=st.sampled_from(Colour),
        level=st.sampled_from(Level),
        choice=st.sampled_from(["a", "b", 3]),
        user=small,
        maybe=st.none() | points,
        either=small | texts | st.lists(small),
        numbers=st.lists(ints),
        names=st.sets(texts),
        points=st.frozensets(points),
        pairs=st.lists(st.tuples(small, texts)).map(tuple),
        row=st.builds(Row, small, texts),
        options=st.fixed_dictionaries({}, optional={"deep": st.lists(small), "name": texts}),
        pet=st.builds(Cat, small) | st.builds(Dog, texts),
        flat=st.builds(Flat, texts, texts),
        by_name=st.dictionaries(texts, small),
        by_number=st.dictionaries(ints, points),
        short=st.text("abc", max_size=5),
        children=children,
    )


nested = everything(st.lists(everything(st.just(())), max_size=2).map(tuple))
