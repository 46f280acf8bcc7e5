"""Our side of the tunnel cases: one tunnel, whose handler reads; default settings."""

from __future__ import annotations

import asyncio

from benchmarks.sides import measure, pouring
from benchmarks.sides.pouring_parts import Here, InAProcess, Pour
from edri_sim import Manager, Node, Settings
from edri_sim.errors import NoRoute
from edri_sim.host import current_host
from edri_sim.links.switch import Switch

TIMEOUT = 5.0


async def pour(node: Node, kind: str) -> float:
    """The rate of one tunnel; the first attempts wait until somebody serves it."""
    while True:
        try:
            async with node.open(Pour(), timeout=TIMEOUT) as tunnel:
                return await pouring.KINDS[kind](tunnel.send)
        except NoRoute:
            await asyncio.sleep(0.01)


async def here(kind: str, manager: type[Manager]) -> float:
    """In one node."""
    async with Node("bench", manager) as node:
        return await pour(node, kind)


def switch(port: int) -> None:
    """A switch, in a process of its own."""

    async def main() -> float:
        host = current_host(asyncio.get_running_loop(), Settings())
        async with Switch("hub", f"{pouring.HOST}:{port}", host):
            return await asyncio.get_running_loop().create_future()

    measure.run_async(main)()


def serve(port: int) -> None:
    """Node b, in a process of its own."""

    async def main() -> float:
        async with Node("b", Here, switches=[f"{pouring.HOST}:{port}"]):
            return await asyncio.get_running_loop().create_future()

    measure.run_async(main)()


async def there(kind: str) -> float:
    """From node a to node b, over a switch: three processes."""
    with pouring.children(switch, serve) as port:
        async with Node("a", switches=[f"{pouring.HOST}:{port}"]) as node:
            return await pour(node, kind)


CASES: dict[str, measure.Measurement] = {
    "tunnel-items": measure.run_async(lambda: here("items", Here)),
    "tunnel-bytes": measure.run_async(lambda: here("bytes", Here)),
    "tunnel-process-items": measure.run_async(lambda: here("items", InAProcess)),
    "tunnel-process-bytes": measure.run_async(lambda: here("bytes", InAProcess)),
    "tunnel-link-items": measure.run_async(lambda: there("items")),
    "tunnel-link-bytes": measure.run_async(lambda: there("bytes")),
}

if __name__ == "__main__":
    measure.main(CASES)
