"""Running nodes as a program."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from edri_sim.node import Node


async def serve(*nodes: Node) -> None:
    """Run nodes until Ctrl-C or SIGTERM, then drain them, the last one first.

    ``asyncio.run(serve(Node("photos", Images)))`` is a whole program. It ends with KeyboardInterrupt on Ctrl-C, and
    with exit code 143 on SIGTERM. Raises what a node's start raises.
    """
    async with AsyncExitStack() as stack:
        for node in nodes:
            await stack.enter_async_context(node)
        await asyncio.get_running_loop().create_future()
