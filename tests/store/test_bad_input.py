"""What a store refuses, with which error, and that its words say what would be right; asked at home and from afar."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from edri_sim import Node, Store, part
from edri_sim.errors import BadEvent, CodecError, DeclarationError
from edri_sim.storing import (
    BadArgument,
    Changed,
    CompareAndSet,
    Delete,
    Get,
    Increment,
    IntegerOverflow,
    ListEntries,
    NotAnInteger,
    Set,
    SetIfAbsent,
    StoreError,
    StoreFull,
    ValueTooLarge,
    VersionConflict,
    pack,
)
from tests.links.cluster import Cluster
from tests.store.shelf import solo
from tests.worlds import World, records

ONE = pack(1)

REFUSED: dict[str, tuple[Any, type[StoreError], str]] = {
    "an empty key": (Set("", ONE), BadArgument, r"Set.key: '' has 0 bytes in UTF-8: expected 1 to 512"),
    "a long key": (Get("é" * 257), BadArgument, r"Get.key: 'é{40}\.\.\.' has 514 bytes in UTF-8: expected 1 to 512"),
    "a long prefix": (ListEntries("x" * 513), BadArgument, r"ListEntries.prefix: 'x+\.\.\.' has 513 bytes"),
    "a ttl below 0": (Set("a", ONE, ttl=-1.0), BadArgument, r"Set.ttl=-1: expected seconds above 0, and at most"),
    "a ttl of 0": (SetIfAbsent("a", ONE, ttl=0.0), BadArgument, r"SetIfAbsent.ttl=0: expected seconds above 0"),
    "a ttl of ages": (Increment("a", ttl=1e12), BadArgument, r"Increment.ttl=1e\+12: .* at most 3153600000"),
    "a limit of 0": (ListEntries(limit=0), BadArgument, r"ListEntries.limit=0: expected 1 to 1000 entries"),
    "an absurd limit": (ListEntries(limit=10**9), BadArgument, r"limit=1000000000: expected 1 to 1000 entries"),
    "a large value": (
        Set("a", pack(bytes(70_000))),
        ValueTooLarge,
        r"Set.value is 70005 bytes, .* takes 65536 at most",
    ),
    "no value": (Set("a", b""), BadArgument, r"Set.value: expected one value in MessagePack, such as pack"),
    "half a value": (CompareAndSet("a", b"\xa5abc", 0), BadArgument, r"CompareAndSet.value: expected one value"),
    "two values": (Set("a", ONE + ONE), BadArgument, r"Set.value: expected one value"),
    "no MessagePack": (Set("a", b"\xc1"), BadArgument, r"Set.value: expected one value"),
    "a depth that nobody can read": (Set("a", b"\x91" * 60_000 + b"\xc0"), BadArgument, r"Set.value: expected one"),
    "a version that is not there": (
        CompareAndSet("text", ONE, 9),
        VersionConflict,
        r"'text' has version 1, and versio",
    ),
    "an increment of text": (Increment("text"), NotAnInteger, r"key 'text' has a str: expected an integer"),
    "an increment of a bool": (Increment("true"), NotAnInteger, r"key 'true' has a bool: expected an integer"),
    "an increment beyond 64 bits": (
        Increment("most", 1),
        IntegerOverflow,
        r"'most': 9223372036854775808 is not within",
    ),
    "a sum beyond 64 bits": (Increment("most", 2**63 - 1), IntegerOverflow, r"'most': 18446744073709551614 is not"),
}

MISTYPED: dict[str, tuple[Any, str]] = {
    "a ttl of NaN": (Set("a", ONE, ttl=float("nan")), r"Set.ttl: expected a finite float, got nan"),
    "an endless ttl": (Set("a", ONE, ttl=float("inf")), r"Set.ttl: expected a finite float, got inf"),
    "a key of bytes": (Get(b"a"), r"Get.key: expected str, got bytes"),  # type: ignore[arg-type]
    "a key that is no Unicode": (Get("\ud800"), r"Get.key: expected text of valid Unicode"),
    "a value that is not packed": (Set("a", 5), r"Set.value: expected bytes, got int"),  # type: ignore[arg-type]
    "a version of text": (Delete("a", "1"), r"Delete.version: expected (int \| None|int.*), got str"),  # type: ignore[arg-type]
    "an increment by half": (Increment("a", 0.5), r"Increment.by: expected int, got float"),  # type: ignore[arg-type]
    "an increment by too much": (Increment("a", 2**64), r"Increment.by: "),
}


@asynccontextmanager
async def filled(far: bool) -> AsyncIterator[Node]:
    """A node that can ask a store, on it or far from it."""
    async with Cluster() as cluster, cluster.node("shelf", Store) as shelf, cluster.node("far") as other:
        asker = other if far else shelf
        await other.subscribed(Get)
        store = Store.of(asker)
        await store.set("text", "words")
        await store.set("true", True)
        await store.set("most", 2**63 - 1)
        yield asker


@pytest.mark.parametrize("far", [False, True], ids=["at home", "from afar"])
def test_bad_input_is_refused_changes_nothing_and_is_no_failure(world: World, far: bool) -> None:
    async def main() -> None:
        async with filled(far) as node:
            before = await node.request(ListEntries())
            with records() as kept:
                for name, (request, error, words) in REFUSED.items():
                    with pytest.raises(error, match=words):
                        await node.request(request)
                    assert issubclass(error, StoreError), name
            assert kept.at("ERROR") == []
            assert await node.request(ListEntries()) == before

    world.run(main)


@pytest.mark.parametrize("far", [False, True], ids=["at home", "from afar"])
def test_what_does_not_fit_its_type_is_one_error_wherever_it_is_noticed(world: World, far: bool) -> None:
    """From afar it does not leave; at home the store refuses it, as a BadArgument, which is a BadEvent as well."""

    async def main() -> None:
        async with filled(far) as node:
            for name, (request, words) in MISTYPED.items():
                with pytest.raises(BadEvent, match=words):
                    await node.request(request)
                assert name

    world.run(main)


def test_an_increment_to_the_very_ends_is_made(world: World) -> None:
    async def main() -> None:
        async with solo() as node:
            assert (await node.request(Increment("least", -(2**63)))).value == -(2**63)
            with pytest.raises(IntegerOverflow):
                await node.request(Increment("least", -1))

    world.run(main)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([object()], "a list cannot be stored: Encoding objects of type object is unsupported"),
        ({"a": [2**70]}, "a dict cannot be stored: "),
        ("\ud800", "str: expected text of valid Unicode"),
        (float("nan"), "float: expected a finite float"),
    ],
)
def test_a_value_that_cannot_be_encoded_is_an_error_before_anything_is_asked(value: object, words: str) -> None:
    with pytest.raises(CodecError, match=words):
        pack(value)


def test_a_value_that_contains_itself_cannot_be_encoded() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(CodecError, match="a list cannot be stored: "):
        pack(endless)


def test_a_value_of_a_class_that_cannot_travel_is_a_declaration_error() -> None:
    with pytest.raises(DeclarationError, match="an object cannot travel"):
        pack(object())


def test_a_store_that_is_full_takes_nothing_more_but_lets_go(world: World) -> None:
    async def main() -> None:
        async with solo(max_total=1_000) as node:
            store = Store.of(node)
            for number in range(9):
                await store.set(f"{number}", bytes(97))
            with pytest.raises(StoreFull, match="'more': with it the store would hold 1003 bytes, and it holds 1000"):
                await store.set("more", bytes(97))
            await store.set("0", bytes(90))
            await store.set("more", bytes(90))
            await store.delete("1")
            await store.set("last", bytes(50))

    world.run(main)


@pytest.mark.parametrize(
    "arguments", [{"max_value": 0}, {"max_value": 2**20}, {"max_value": True}, {"max_total": 0}, {"max_total": 1.5}]
)
def test_a_store_has_sizes_in_bytes(arguments: dict[str, Any]) -> None:
    ((name, value),) = arguments.items()
    with pytest.raises(DeclarationError, match=rf"Store\({name}={value}\): expected a number of bytes from 1 to \d+"):
        Store(**arguments)


def test_a_storage_has_a_name_and_not_that_of_its_node() -> None:
    with pytest.raises(DeclarationError):
        Store(storage="no name")

    async def main() -> None:
        with pytest.raises(DeclarationError, match=r"Store\(storage='solo'\): under its own name a durable node keeps"):
            await Node("solo", part(Store, storage="solo")).start()

    asyncio.run(main())


def test_events_that_carry_values_survive_a_page_of_the_largest() -> None:
    """The largest value that a store may be given to take fits into a frame, as an entry and as a change."""
    value = bytes(512 * 1024)
    change = Changed("k" * 512, 2**63 - 1, value, "set")
    assert len(msgspec.msgpack.encode(change)) + 256 * 1024 < 1 << 20
