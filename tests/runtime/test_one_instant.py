"""Work that takes no simulated time: a lot of it at one instant is still work, and moves no clock."""

from __future__ import annotations

from edri_sim import Node, Simulation
from tests.runtime.cast import Ask, Echo
from tests.worlds import pool_of


def after(requests: int) -> tuple[float, int]:
    """The simulated time, and the spins seen, after so many requests one after the other."""

    async def main() -> None:
        async with Node("solo", pool_of(Echo)) as node:
            for number in range(requests):
                assert await node.request(Ask(str(number)), timeout=20) == str(number)

    with Simulation() as simulation:
        simulation.run(main())
        return simulation.now, len(simulation.kernel.spins)


def test_a_thousand_requests_in_a_row_take_no_time() -> None:
    assert after(1_000) == (0, 0)


def test_twenty_thousand_requests_in_a_row_take_no_time() -> None:
    assert after(20_000) == (0, 0)
