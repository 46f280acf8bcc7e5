"""What a handler is told of how its event came to it: ``self.delivery``, in every mode and on both loops."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from edri_sim import Manager, Node, Request, Worker, event, handles, sleep
from edri_sim.envelope import Envelope
from edri_sim.managers.worker import Delivery
from edri_sim.routing.mailbox import Mailbox
from tests.worlds import World, pool_of


@dataclass(frozen=True)
class Told:
    event_id: str
    source: str
    redelivered: bool


@event
class HowCame(Request[Told]):
    pass


def told(delivery: Delivery) -> Told:
    return Told(delivery.event_id, delivery.source, delivery.redelivered)


class Asynchronous(Worker):
    @handles
    async def how(self, event: HowCame) -> Told:
        await asyncio.sleep(0.001)
        return told(self.delivery)


class Plain(Worker):
    @handles
    def how(self, event: HowCame) -> Told:
        sleep(0.001)
        return told(self.delivery)


@pytest.mark.parametrize("worker", [Asynchronous, Plain])
@pytest.mark.parametrize("redelivered", [False, True])
def test_a_handler_knows_its_event_by_id_source_and_whether_it_is_a_repeat(
    world: World, mode: str, worker: type[Worker], redelivered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids: list[str] = []
    offer = Mailbox.offer

    def mark(mailbox: Mailbox, envelope: Envelope) -> bool:
        envelope.redelivered = redelivered
        ids.append(envelope.event_id)
        return offer(mailbox, envelope)

    monkeypatch.setattr(Mailbox, "offer", mark)

    async def main() -> None:
        async with Node("solo", pool_of(worker, mode)) as node:
            answers = [await node.request(HowCame(), timeout=20) for _ in range(2)]
        assert answers == [Told(id_, "solo", redelivered) for id_ in ids]
        assert len(dict.fromkeys(ids)) == 2

    world.run(main)


def test_handlers_that_run_side_by_side_each_know_their_own_event(world: World, mode: str) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Asynchronous, mode, concurrency=8)) as node:
            answers = await asyncio.gather(*[node.request(HowCame(), timeout=20) for _ in range(8)])
        assert len(dict.fromkeys(answer.event_id for answer in answers)) == 8

    world.run(main)


def test_outside_handlers_there_is_no_delivery(world: World) -> None:
    errors: list[str] = []

    class Early(Manager):
        async def start(self) -> None:
            try:
                _ = self.delivery
            except RuntimeError as error:
                errors.append(str(error))

    async def main() -> None:
        async with Node("solo", Early):
            pass

    world.run(main)
    assert errors == [f"{Early.__qualname__}: delivery is for handlers, and none runs here"]
