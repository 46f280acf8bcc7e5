"""Workers come and go: start, stop, arguments, and what happens when one of them raises."""

from __future__ import annotations

import asyncio

import pytest

from edri_sim import Manager, Node, Pool, Worker, handles
from edri_sim.errors import DeclarationError, EdriError, HandlerError
from tests.runtime.cast import Ask, Echo, Told
from tests.runtime.lives import Announcer, BadStop, Refusing, Storied, Story, Unmade
from tests.worlds import World, pool_of, quick, records, until


class Telling(Manager):
    """Says when it starts and stops, and in which order with its pool."""

    pool = Pool(Echo)

    def __init__(self, story: list[str]) -> None:
        self.story = story

    async def start(self) -> None:
        self.story.append(await self.request(Ask("the pool runs"), timeout=10))

    async def stop(self) -> None:
        self.story.append("manager stops")


def test_arguments_reach_the_worker_and_start_comes_before_the_first_event(world: World, mode: str) -> None:
    async def main() -> None:
        crew = pool_of(Storied, mode, args=("one",), kwargs={"second": "two"})
        async with Node("solo", crew) as node:
            assert await node.request(Story(), timeout=10) == ["one", "two", "started"]

    world.run(main)


def test_stop_is_called_once_for_each_instance(world: World, mode: str, capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Storied, mode, size=2, args=("one",))) as node:
            await node.request(Story(), timeout=10)

    with records() as kept:
        world.run(main)
    logged = [record.getMessage() for record in kept.list if record.name == "edri_sim.worker"]
    # A real process has a log of its own, which goes to its stderr.
    written = capfd.readouterr().err.count("WARNING edri_sim.worker: stopped one")
    in_child = mode == "process" and not world.simulated
    assert (len(logged), written) == ((0, 2) if in_child else (2, 0))


def test_a_managers_start_can_use_its_pools_and_stop_comes_last(world: World) -> None:
    story: list[str] = []

    async def main() -> None:
        async with Node("solo", lambda: Telling(story)):
            assert story == ["the pool runs"]

    world.run(main)
    assert story == ["the pool runs", "manager stops"]


@pytest.mark.parametrize("worker", [Refusing, Unmade])
def test_a_start_that_raises_fails_the_nodes_start_with_that_error(
    world: World, mode: str, worker: type[Worker]
) -> None:
    async def main() -> None:
        node = Node("solo", pool_of(Echo, mode), pool_of(worker, mode, size=2))
        # What happened in a real process comes as text.
        expected: type[Exception] = HandlerError if mode == "process" and not world.simulated else LookupError
        with pytest.raises(expected, match="no such model"):
            async with node:
                raise AssertionError("the node must not run")
        assert repr(node) == "<Node solo stopped>"
        with pytest.raises(EdriError):
            await node.request(Story())

    world.run(main)


def test_what_started_before_the_one_that_did_not_is_stopped(world: World) -> None:
    story: list[str] = []

    class Late(Manager):
        async def start(self) -> None:
            raise LookupError("late")

    async def main() -> None:
        with pytest.raises(LookupError, match="late"):
            async with Node("solo", lambda: Telling(story), Late):
                pass

    world.run(main)
    assert story == ["the pool runs", "manager stops"]


def test_wrong_arguments_of_a_worker_fail_the_start(world: World, mode: str) -> None:
    async def main() -> None:
        expected = HandlerError if mode == "process" and not world.simulated else TypeError
        with pytest.raises(expected, match="missing 1 required positional argument: 'first'"):
            async with Node("solo", pool_of(Storied, mode)):
                pass

    world.run(main)


def test_a_stop_that_raises_is_logged_and_the_others_stop_all_the_same(
    world: World, mode: str, capfd: pytest.CaptureFixture[str]
) -> None:
    story: list[str] = []

    async def main() -> None:
        async with Node("solo", lambda: Telling(story), pool_of(BadStop, mode)) as node:
            assert await node.request(Ask("x"), timeout=10) == "x"

    with records() as kept:
        world.run(main)
    logged = "\n".join(f"{record.getMessage()} {record.exc_info}" for record in kept.list)
    assert "cannot stop" in logged + capfd.readouterr().err
    assert story == ["the pool runs", "manager stops"]


def test_a_worker_publishes_from_start(world: World, mode: str) -> None:
    heard: list[int] = []

    class Listener(Manager):
        @handles
        async def told(self, event: Told) -> None:
            heard.append(event.number)

    async def main() -> None:
        async with Node("solo", Listener, pool_of(Announcer, mode)):
            await until(lambda: heard)

    world.run(main)
    assert heard == [42]


def test_publishing_before_the_start_says_when_it_works() -> None:
    with pytest.raises(RuntimeError, match=r"Echo is not started yet: publish .*in start\(\) or a handler"):
        asyncio.run(Echo().notify(Told(1)))


def test_the_repr_of_a_worker_has_no_address(world: World) -> None:
    assert repr(Echo()) == "<Echo>"
    shown: list[str] = []

    class Shown(Worker):
        @handles
        async def ask(self, event: Ask) -> str:
            shown.append(repr(self).rpartition(".")[2] if "<locals>" in repr(self) else repr(self))
            return ""

    async def main() -> None:
        async with Node("solo", pool_of(Shown), **quick()) as node:
            await node.request(Ask())

    world.run(main)
    assert shown == ["pool>"]


def test_a_worker_that_cannot_be_sent_to_a_process_says_so() -> None:
    async def main() -> None:
        with pytest.raises(DeclarationError, match=r"solo/Crew.pool: .* cannot be sent to a process: .*lock"):
            async with Node("solo", pool_of(Storied, "process", args=(__import__("threading").Lock(),))):
                pass

    World("real").run(main)
