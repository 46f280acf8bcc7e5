"""xoscar: asyncio actors, in this process or in a sub-process of an actor pool."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import xoscar

from benchmarks.sides import measure
from benchmarks.sides.payload import OUTSTANDING, Payload, payload


class Echo(xoscar.Actor):
    """Replies with the argument."""

    async def echo(self, message: Payload) -> Payload:
        return message


@contextlib.asynccontextmanager
async def _echo_actor(processes: int) -> AsyncIterator[Any]:
    pool = await xoscar.create_actor_pool("127.0.0.1", n_process=processes)
    async with pool:
        place = xoscar.allocate_strategy.ProcessIndex(processes)
        yield await xoscar.create_actor(Echo, uid="echo", address=pool.external_address, allocate_strategy=place)


async def _sequence(processes: int) -> float:
    async with _echo_actor(processes) as echo:
        return await measure.sequence_async(lambda: echo.echo(payload()))


async def _outstanding(processes: int) -> float:
    async with _echo_actor(processes) as echo:
        return await measure.outstanding_async(lambda: echo.echo(payload()), OUTSTANDING)


CASES: dict[str, measure.Measurement] = {
    "request-sequence": measure.run_async(lambda: _sequence(processes=0)),
    "process-sequence": measure.run_async(lambda: _sequence(processes=1)),
    "process-outstanding": measure.run_async(lambda: _outstanding(processes=1)),
}

if __name__ == "__main__":
    measure.main(CASES)
