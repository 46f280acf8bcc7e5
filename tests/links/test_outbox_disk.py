"""Outboxes on disks that are taken, full or not to be written to: each is named, and nothing accepted is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from edri_sim import (
    Node,
)
from edri_sim.errors import OutboxFull, StorageError
from edri_sim.links import outbox as outbox_module
from edri_sim.links import publisher
from tests.links.durable_pair import MANY, Note, Pair, publish
from tests.runtime.test_storage import plain_user
from tests.worlds import World, quick, turns, until


def test_an_outbox_that_another_node_has_open_is_named_at_the_start(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        pair = Pair(tmp_path)
        async with pair.a():
            with pytest.raises(StorageError, match=r"a.sqlite: this process has it open: stop that first, or change"):
                await pair.a().start()
        async with pair.a():
            pass

    world.run(main)


def forbid_writing(folder: Path) -> None:
    (folder / "a.sqlite").chmod(0o444)
    folder.chmod(0o777)


def test_an_outbox_that_may_only_be_read_is_named_at_the_start() -> None:
    async def main(folder: Path) -> None:
        async with Pair(folder).a():
            pass
        forbid_writing(folder)
        with plain_user(), pytest.raises(StorageError, match=r"a.sqlite: it cannot be written: let this program's"):
            await Pair(folder).a().start()

    with TemporaryDirectory() as folder:  # Not tmp_path, which is inside a folder that only its owner may enter.
        asyncio.run(main(Path(folder)))


def fails_to_start(*_: object) -> Any:
    raise LookupError("no part")


def test_a_start_that_fails_lets_go_of_the_outbox(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        pair = Pair(tmp_path)
        broken = Node("a", durable=True, uplink=fails_to_start, **quick(data=str(tmp_path)))
        for node in (pair.a(fails_to_start), broken):
            with pytest.raises(LookupError, match="no part"):
                await node.start()
        async with pair.a():
            pass

    world.run(main)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "PATIENCE", 0.2)
    monkeypatch.setattr(outbox_module, "RETRY", 0.05)


@pytest.mark.usefixtures("impatient")
def test_on_a_full_disk_publishers_are_refused_nothing_leaves_and_it_goes_on_when_there_is_room(
    world: World, tmp_path: Path
) -> None:
    large = "x" * 50_000

    async def main() -> None:
        pair = Pair(tmp_path)
        async with pair.b(), pair.a() as a:
            await a.subscribed(Note)
            await a.notify(Note(1))
            await a.settled()
            await pair.limit(2)
            with pytest.raises(OutboxFull, match=r"is not on disk after 0.2 s, and will be sent once it is: the log"):
                await a.notify(Note(2, large))
            assert pair.numbers == [1]
            await pair.limit(None)
            await until(lambda: pair.numbers == [1, 2])
            await a.notify(Note(3))
            await until(lambda: pair.numbers == [1, 2, 3])

    world.run(main)


@pytest.mark.usefixtures("impatient")
def test_a_node_stops_though_its_disk_refuses_and_keeps_what_it_had_accepted(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "PATIENCE", 60.0)

    async def main() -> None:
        pair = Pair(tmp_path)
        async with pair.b():
            async with pair.a() as a:
                await a.subscribed(Note)
                pair.cut()
                await publish(a, MANY)
                await pair.limit(2)
                late = asyncio.ensure_future(a.notify(Note(101, "x" * 50_000)))
                await turns(5)
            with pytest.raises(OutboxFull, match=r"Note a/\w+/\d+ was not accepted: the outbox was closed before this"):
                await late
            pair.heal()
            async with pair.a() as a:
                await a.subscribed(Note)
                await a.notify(Note(102))
                await until(lambda: len(pair.heard) == 101)
                await a.settled()
        assert pair.numbers == [*MANY, 102]

    world.run(main)
