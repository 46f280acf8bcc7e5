"""What a handler raises, and what it wrongly returns: who hears of it, and in which words."""

from __future__ import annotations

import asyncio

import pytest

from edri_sim import Manager, Node, Worker, handles
from edri_sim.errors import BadEvent, BadReply, HandlerError, RequestError
from tests.runtime.cast import Ask, Told
from tests.runtime.faulty import (
    RUDE,
    Count,
    Faulty,
    Pair,
    PairWorker,
    PlainFaulty,
    PlainRudeWorker,
    Rude,
    RudeWorker,
    Wrong,
)
from tests.worlds import World, pool_of, records, until


@pytest.mark.parametrize("worker", [Faulty, PlainFaulty])
def test_a_handler_that_raises_is_a_typed_error_with_the_users_line(
    world: World, mode: str, worker: type[Worker]
) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(worker, mode)) as node:
            with records() as kept, pytest.raises(HandlerError) as caught:
                await node.request(Ask("do it"), timeout=10)
            error = caught.value
            assert error.type_name == "tests.runtime.faulty.Trouble"
            assert error.args == ("tests.runtime.faulty.Trouble: cannot do it",)
            assert 'raise Trouble(f"cannot {event.text}")  # the user\'s line' in error.remote_traceback
            assert "In the handler:" in str(error)
            assert error.remote_traceback in str(error)
            (logged,) = kept.at("ERROR")
            assert logged.name == "edri_sim.pool"
            assert logged.__dict__["node"] == "solo"
            assert logged.__dict__["event_type"] == "Ask"
            assert logged.__dict__["event_id"].startswith("solo/")
            assert logged.getMessage().startswith("solo/Crew.pool failed on Ask:\nTraceback")
            assert "do it" not in logged.getMessage().replace("cannot do it", ""), "no payloads in the log"

    world.run(main)


@pytest.mark.parametrize("worker", [Faulty, PlainFaulty])
def test_what_a_notification_handler_raises_is_logged_once_and_does_not_reach_the_publisher(
    world: World, mode: str, worker: type[Worker]
) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(worker, mode)) as node:
            with records() as kept:
                await node.notify(Told(5))
                await until(lambda: kept.at("ERROR"))
            (logged,) = kept.at("ERROR")
            assert "Trouble: told 5" in logged.getMessage()
            assert logged.__dict__["event_id"].startswith("solo/")

    world.run(main)


@pytest.mark.parametrize("worker", [RudeWorker, PlainRudeWorker])
def test_a_handler_that_raises_what_is_no_exception_ends_its_request_alone(
    world: World, mode: str, worker: type[Worker]
) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(worker, mode)) as node:
            for how, error in RUDE.items():
                with pytest.raises(HandlerError) as caught:
                    await node.request(Rude(how), timeout=10)
                # Python itself turns a StopIteration that leaves a coroutine into a RuntimeError.
                assert caught.value.type_name.rpartition(".")[2] in (error.__name__, "RuntimeError")
                assert await node.request(Ask("still here"), timeout=10) == "still here"

    world.run(main)


@pytest.mark.parametrize("asynchronous", [True, False])
def test_ctrl_c_in_a_handler_ends_the_program(world: World, asynchronous: bool) -> None:
    class Interrupted(Manager):
        @handles
        async def ask(self, event: Ask) -> str:
            raise KeyboardInterrupt

        @handles
        def told(self, event: Told) -> None:
            raise KeyboardInterrupt

    async def main() -> None:
        async with Node("solo", Interrupted) as node:
            await (node.request(Ask("x"), timeout=10) if asynchronous else node.notify(Told()))
            await asyncio.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        world.run(main)


def test_a_reply_that_does_not_fit_is_named_in_process_mode(world: World) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Wrong, "process")) as node:
            for what in ("text", "flag", "none", "object"):
                with pytest.raises(BadReply, match=r"the reply cannot be sent: .*int") as caught:
                    await node.request(Count(what), timeout=10)
                assert isinstance(caught.value, RequestError)

    world.run(main)


def test_a_bad_reply_names_the_path_to_the_value(world: World) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(PairWorker, "process")) as node:
            with pytest.raises(BadReply, match=r"\[.*\]"):
                await node.request(Pair(), timeout=10)

    world.run(main)


def test_an_event_that_does_not_fit_is_named_in_process_mode(world: World) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Faulty, "process")) as node:
            with records() as kept, pytest.raises(BadEvent, match=r"Ask\.text: .*str"):
                await node.request(Ask(12), timeout=10)  # type: ignore[arg-type]
            assert len(kept.at("ERROR")) == 1
            with records() as kept:
                await node.notify(Told("x"))  # type: ignore[arg-type]
                await until(lambda: kept.at("ERROR"))
            assert "Told.number" in kept.at("ERROR")[0].getMessage()

    world.run(main)
