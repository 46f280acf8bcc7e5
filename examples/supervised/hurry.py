"""The same shift in real time, with parts of two milliseconds: ``python examples/supervised/hurry.py``."""

from __future__ import annotations

import asyncio

from system import shift

if __name__ == "__main__":
    asyncio.run(shift(pace=0.002))
