"""What a handler answers in place of a reply, as an error of a class of its own, and who gets it."""

from __future__ import annotations

import pytest

from edri_sim import DeadLetter, Manager, Node, Worker, handles
from edri_sim.errors import DeclarationError, Refused, RequestError, request_error
from tests.links.cluster import Cluster
from tests.runtime.cast import Ask, Told
from tests.runtime.refusers import PlainShop, Shop, SoldOut
from tests.worlds import World, pool_of, records, until

WORDS = "no bell is left: come back tomorrow"


@pytest.mark.parametrize("worker", [Shop, PlainShop])
def test_a_refusal_reaches_the_requester_as_itself_and_is_no_failure(
    world: World, mode: str, worker: type[Worker]
) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(worker, mode)) as node:
            with records() as kept, pytest.raises(SoldOut) as caught:
                await node.request(Ask("bell"), timeout=10)
            assert caught.value.args == (WORDS,)
            assert kept.at("ERROR") == []

    world.run(main)


def test_a_refusal_comes_back_from_another_node(world: World) -> None:
    async def main() -> None:
        async with Cluster() as cluster, cluster.node("a") as a, cluster.node("b", pool_of(Shop)):
            await a.subscribed(Ask)
            with pytest.raises(SoldOut, match=WORDS):
                await a.request(Ask("bell"))

    world.run(main)


def test_a_notification_that_is_refused_is_a_dead_letter(world: World) -> None:
    letters: list[DeadLetter] = []

    class Office(Manager):
        @handles
        async def on_letter(self, event: DeadLetter) -> None:
            letters.append(event)

    async def main() -> None:
        async with Node("solo", pool_of(Shop), Office) as node:
            await node.notify(Told(1))
            await until(lambda: letters)
            assert (letters[0].type, letters[0].reason) == ("Told", "nothing is left")

    world.run(main)


def test_a_refusal_that_nobody_imported_is_a_plain_error_with_its_words() -> None:
    error = request_error("refusers.unheard_of", WORDS, {})
    assert (type(error), str(error)) == (RequestError, WORDS)


def test_a_code_belongs_to_one_class() -> None:
    message = r"Another: the error SoldOut has the code 'refusers.sold_out': give this class a code of its own"
    with pytest.raises(DeclarationError, match=message):
        type("Another", (Refused,), {"code": SoldOut.code, "__qualname__": "Another"})
    with pytest.raises(DeclarationError, match="the error NoRoute has the code 'no_route'"):
        type("Another", (Refused,), {"code": "no_route"})
