"""An upload to a process worker, in real time: ``python examples/upload/run.py``."""

from __future__ import annotations

import asyncio
from hashlib import sha256

from edri_sim import Node
from system import Archives, upload

CONTENT = bytes(range(256)) * 8_192
"""2 MiB."""


async def main() -> None:
    sizes: list[int] = []
    async with Node("archive", Archives) as node:
        digest = await upload(node, "sky.raw", CONTENT, lambda progress: sizes.append(progress.size))
    print(f"told {len(sizes)} times, {sizes[-1] // 1024} KiB at last")
    print("whole" if digest == sha256(CONTENT).hexdigest() else "damaged")


if __name__ == "__main__":
    asyncio.run(main())
