"""The storage of a host: what is committed stays, what is not leaves no trace, and what is wrong is named."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from edri_sim import Settings
from edri_sim.errors import DeclarationError, SettingsError, StorageError
from edri_sim.host import Host, Storage, current_host
from edri_sim.realtime.host import LocalHost
from tests.runtime.programs import line, program
from tests.worlds import World

CREATE = ("CREATE TABLE row (number INTEGER PRIMARY KEY, data)", [()])
INSERT = "INSERT INTO row VALUES (?, ?)"


def insert(*numbers: int, data: object = None) -> tuple[str, list[tuple[int, Any]]]:
    return INSERT, [(number, data) for number in numbers]


async def numbers_in(storage: Storage) -> list[int]:
    return [row[0] for row in await storage.read("SELECT number FROM row ORDER BY number")]


@pytest.fixture
def host(tmp_path: Path) -> Any:
    """Makes the host of the running loop; its files, if it has any, are in the test's folder."""
    return lambda: current_host(asyncio.get_running_loop(), Settings(data=str(tmp_path / "data")))


# Reading and writing


def test_what_is_committed_is_read_and_is_there_when_it_is_opened_again(world: World, host: Any) -> None:
    values = [1, 2.5, "text", b"\x00bytes", None]

    async def main() -> None:
        storage = host().storage("box")
        await storage.commit([CREATE, (INSERT, list(enumerate(values)))])
        assert await storage.read("SELECT * FROM row") == list(enumerate(values))
        await storage.commit([("DELETE FROM row WHERE number = ?", [(0,), (1,)]), insert(7), insert()])
        await storage.close()
        again = host().storage("box")
        assert await again.read("SELECT data FROM row WHERE number >= ? AND number < ?", (3, 7)) == [
            (b"\x00bytes",),
            (None,),
        ]
        assert await numbers_in(again) == [2, 3, 4, 7]
        await again.close()

    world.run(main)


def test_storages_of_other_names_are_others(world: World, host: Any) -> None:
    async def main() -> None:
        first, second = host().storage("a.b"), host().storage("a.c")
        await first.commit([CREATE, insert(1)])
        await second.commit([CREATE, insert(2)])
        assert (await numbers_in(first), await numbers_in(second)) == ([1], [2])
        await first.close()
        await second.close()

    world.run(main)


BROKEN: list[tuple[Any, str]] = [
    (insert(3, 1), "UNIQUE constraint failed: row.number"),
    (("INSERT INTO rwo VALUES (1)", [()]), "no such table: rwo"),
    ((INSERT, [(3, None), (4,)]), "The current statement uses 2, and there are 1 supplied"),
    ((INSERT, [(3, None), (4, object())]), "type 'object' is not supported"),
    ((INSERT, [(3, None), (2**63, None)]), "Python int too large to convert to SQLite INTEGER"),
]


@pytest.mark.parametrize(("statement", "message"), BROKEN, ids=["row", "sql", "count", "type", "size"])
def test_of_a_batch_that_fails_in_the_middle_nothing_is_stored(
    world: World, host: Any, statement: Any, message: str
) -> None:
    async def main() -> None:
        storage = host().storage("box")
        await storage.commit([CREATE, insert(1)])
        with pytest.raises(StorageError, match=rf"^storage .*box.sqlite: .*{message}"):
            await storage.commit([insert(2), statement, insert(5)])
        assert await numbers_in(storage) == [1]
        await storage.commit([insert(2)])
        assert await numbers_in(storage) == [1, 2]
        await storage.close()

    world.run(main)


def test_rows_that_raise_take_the_batch_with_them(world: World, host: Any) -> None:
    class Rows(list[Any]):
        def __iter__(self) -> Any:
            yield (2, None)
            raise LookupError("no more rows")

    async def main() -> None:
        storage = host().storage("box")
        await storage.commit([CREATE, insert(1)])
        with pytest.raises(LookupError, match="no more rows"):
            await storage.commit([(INSERT, Rows([1, 2]))])
        assert await numbers_in(storage) == [1]
        await storage.close()

    world.run(main)


def test_reading_changes_nothing(world: World, host: Any) -> None:
    async def main() -> None:
        storage = host().storage("box")
        await storage.commit([CREATE, insert(1)])
        assert await storage.read("INSERT INTO row VALUES (2, 0) RETURNING number") == [(2,)]
        await storage.read("DROP TABLE row")
        with pytest.raises(StorageError, match=r"box.sqlite: no such table: rwo"):
            await storage.read("SELECT * FROM rwo")
        assert await numbers_in(storage) == [1]
        await storage.close()

    world.run(main)


def test_calls_take_effect_in_their_order(world: World, host: Any) -> None:
    async def main() -> None:
        storage = host().storage("box")
        calls = [
            asyncio.ensure_future(call)
            for call in (storage.commit([CREATE]), storage.commit([insert(1)]), numbers_in(storage),
                         storage.commit([insert(2)]), numbers_in(storage), storage.close())
        ]  # fmt: skip
        assert await asyncio.gather(*calls) == [None, None, [1], None, [1, 2], None]

    world.run(main)


def test_a_commit_that_is_cancelled_is_stored_all_the_same(world: World, host: Any) -> None:
    async def main() -> None:
        storage = host().storage("box")
        await storage.commit([CREATE])
        commits = [asyncio.ensure_future(storage.commit([insert(number)])) for number in (1, 2)]
        await asyncio.sleep(0)
        for commit in commits:
            commit.cancel()
        assert await numbers_in(storage) == [1, 2]
        assert [commit.cancelled() for commit in commits] == [True, True]
        await storage.close()

    world.run(main)


def test_a_closed_storage_says_so(world: World, host: Any) -> None:
    async def main() -> None:
        storage = host().storage("box")
        await storage.close()
        await storage.close()
        for call in (storage.commit([CREATE]), storage.read("SELECT 1")):
            with pytest.raises(StorageError, match=r"box.sqlite: it is closed; ask the host for it again"):
                await call

    world.run(main)


# What can be wrong


def test_a_second_user_is_refused_at_once(world: World, host: Any) -> None:
    async def main() -> None:
        first, second = host().storage("box"), host().storage("box")
        await first.commit([CREATE])
        for _ in range(2):
            with pytest.raises(StorageError, match=r"box.sqlite: this process has it open: stop that first, or change"):
                await second.commit([insert(1)])
        await first.commit([insert(2)])
        await first.close()
        await second.commit([insert(3)])
        assert await numbers_in(second) == [2, 3]
        await second.close()

    world.run(main)


def test_what_cannot_be_written_says_so(world: World, host: Any) -> None:
    async def main() -> None:
        storage = host().storage("box")
        await storage.commit([CREATE])
        await storage.read("PRAGMA query_only = 1")
        with pytest.raises(StorageError, match=r"box.sqlite: it cannot be written: let this program's account write"):
            await storage.commit([insert(1)])
        assert await numbers_in(storage) == []
        await storage.close()

    world.run(main)


def test_a_full_disk_takes_the_whole_batch_or_nothing(world: World, host: Any) -> None:
    async def main() -> None:
        storage = host().storage("box")
        await storage.commit([CREATE, insert(1, data=b"x" * 5_000)])
        pages = (await storage.read("PRAGMA page_count"))[0][0]
        await storage.read(f"PRAGMA max_page_count = {pages + 5}")
        with pytest.raises(
            StorageError, match=r"box.sqlite: the disk is full, .*: make room, or change the data folder"
        ):
            await storage.commit([insert(2, data=b"x" * 5_000), insert(3, data=b"x" * 50_000)])
        assert await numbers_in(storage) == [1]
        await storage.commit([insert(4, data=b"x" * 5_000)])
        await storage.read("PRAGMA max_page_count = 1000")
        await storage.commit([insert(5, data=b"x" * 50_000)])
        assert await numbers_in(storage) == [1, 4, 5]
        await storage.close()

    world.run(main)


@pytest.mark.parametrize("name", ["", "../box", "Box", "a/b", "x" * 65, None])
def test_a_name_that_is_none_is_refused(world: World, host: Any, name: Any) -> None:
    async def main() -> None:
        with pytest.raises(DeclarationError, match=r"storage name .*: expected 1 to 64 of a-z"):
            host().storage(name)

    world.run(main)


# Files


def refusal(path: Path, data: bytes | None = None) -> str:
    """What the first call on a storage says, whose file holds ``data``."""

    async def main() -> None:
        storage = machine.storage("box")
        try:
            await storage.commit([CREATE])
        finally:
            await storage.close()

    if data is not None:
        path.mkdir(exist_ok=True)
        (path / "box.sqlite").write_bytes(data)
    machine: Host = LocalHost(data=path)
    with pytest.raises(StorageError) as caught:
        asyncio.run(main())
    return str(caught.value).removeprefix(f"storage {path / 'box.sqlite'}: ")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("words")
    expected = "expected a folder that this program may write to"
    assert refusal(tmp_path / "file") == f"File exists: {expected}"
    assert refusal(tmp_path / "file" / "data") == f"Not a directory: {expected}"
    assert refusal(Path("/proc/edri")).endswith(expected)


def test_a_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "box.sqlite").mkdir()
    assert refusal(tmp_path).startswith(
        "it cannot be opened: expected a file in a folder that this program may write to"
    )
    assert refusal(Path("/proc")).startswith("it cannot be opened: expected a file in a folder that this program may")


@contextmanager
def plain_user() -> Iterator[None]:
    """Where the tests run as root: as a user who may not write what others own."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_this_account_may_only_read_says_so(what: str) -> None:
    async def fill() -> None:
        storage = LocalHost(data=path).storage("box")
        await storage.commit([CREATE])
        await storage.close()

    with TemporaryDirectory() as folder:  # Not tmp_path, which is inside a folder that only its owner may enter.
        path = Path(folder)
        asyncio.run(fill())
        (path / "box.sqlite").chmod(0o666 if what == "folder" else 0o444)
        path.chmod(0o555 if what == "folder" else 0o777)
        with plain_user():
            assert refusal(path) == "it cannot be written: let this program's account write to the file and its folder"
        path.chmod(0o755)


def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    words = b"words, not a database" * 100
    assert refusal(tmp_path, words).startswith("it is no SQLite database: expected one, or no file of this name")
    assert (tmp_path / "box.sqlite").read_bytes() == words


def test_a_damaged_file_says_so(tmp_path: Path) -> None:
    async def fill() -> None:
        storage = LocalHost(data=tmp_path).storage("box")
        await storage.commit([CREATE, insert(*range(1_000), data="x" * 100)])
        await storage.close()

    async def read() -> None:
        storage = LocalHost(data=tmp_path).storage("box")
        with pytest.raises(StorageError, match=r"box.sqlite: it is damaged: put back a copy of it, or move it away"):
            await storage.read("SELECT * FROM row")
        await storage.close()

    asyncio.run(fill())
    path = tmp_path / "box.sqlite"
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))
    asyncio.run(read())


def test_the_files_are_in_the_data_folder_of_their_owner_alone(tmp_path: Path) -> None:
    async def main(machine: Host) -> list[str]:
        storage = machine.storage("box")
        await storage.commit([CREATE])
        during = sorted(path.name for path in (tmp_path / "a" / "data").iterdir())
        await storage.close()
        return during

    folder = tmp_path / "a" / "data"
    assert asyncio.run(main(LocalHost(data=folder))) == ["box.pid", "box.sqlite", "box.sqlite-wal"]
    assert [path.name for path in folder.iterdir()] == ["box.sqlite"]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_every_commit_reaches_the_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    async def main() -> None:
        storage = LocalHost(data=tmp_path).storage("box")
        full = 2  # https://sqlite.org/pragma.html#pragma_synchronous
        assert await storage.read("PRAGMA synchronous") == [(full,)]
        assert await storage.read("PRAGMA journal_mode") == [("wal",)]
        await storage.close()

    asyncio.run(main())


def test_without_a_data_folder_there_is_no_storage() -> None:
    with pytest.raises(SettingsError) as caught:
        LocalHost().storage("box")
    assert str(caught.value) == "setting data='': expected a folder for storage 'box': set data= or EDRI_DATA"


# Whole programs

COMMITS = """
from pathlib import Path
from edri_sim.realtime.host import LocalHost

async def main():
    storage = LocalHost(data=Path(__file__).parent / "data").storage("box")
    await storage.commit([("CREATE TABLE IF NOT EXISTS row (number INTEGER PRIMARY KEY, data)", [()])])
    number = (await storage.read("SELECT count(*) FROM row"))[0][0]
    print(number, flush=True)
    while True:
        number += 1
        await storage.commit([("INSERT INTO row VALUES (?, ?)", [(number, b"x" * 500)])])
        print(number, flush=True)

asyncio.run(main())
"""


def test_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    async def stored() -> list[int]:
        storage = LocalHost(data=tmp_path / "data").storage("box")
        try:
            return await numbers_in(storage)
        finally:
            await storage.close()

    for _ in range(3):
        with program(COMMITS, tmp_path) as process:
            first = int(line(process))
            while int(line(process)) < first + 40:
                pass
            process.kill()
            assert process.stdout is not None
            rest = process.stdout.read().splitlines()
        last = int(rest[-1]) if rest else first + 40
        assert asyncio.run(stored()) in (list(range(1, last + 1)), list(range(1, last + 2)))


def test_the_process_that_has_the_file_open_is_named(tmp_path: Path) -> None:
    with program(COMMITS, tmp_path) as process:
        line(process)
        words = refusal(tmp_path / "data")
        assert words == f"process {process.pid} has it open: stop that first, or change the data folder"
        (tmp_path / "data" / "box.pid").unlink()
        assert refusal(tmp_path / "data").startswith("another process has it open: stop that first")
