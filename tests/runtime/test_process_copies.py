"""What a process worker gets has crossed the codec, in simulated time as in a real child."""

from __future__ import annotations

from edri_sim import Node, Request, Worker, event, handles
from tests.worlds import World, pool_of


@event(name="copies.Scale")
class Scale(Request[str]):
    factor: float
    parts: list[int]


class Scaler(Worker):
    @handles
    def scale(self, event: Scale) -> str:
        event.parts.append(0)
        return type(event.factor).__name__


def test_a_process_worker_gets_a_copy_that_fits_the_declaration(world: World) -> None:
    async def main() -> tuple[str, list[int]]:
        sent = Scale(2, [1])
        async with Node("solo", pool_of(Scaler, mode="process")) as node:
            return await node.request(sent, timeout=20), sent.parts

    assert world.run(main) == ("float", [1])


def test_a_method_worker_gets_the_event_itself(world: World) -> None:
    async def main() -> tuple[str, list[int]]:
        sent = Scale(2, [1])
        async with Node("solo", pool_of(Scaler)) as node:
            return await node.request(sent, timeout=20), sent.parts

    assert world.run(main) == ("int", [1, 0])
