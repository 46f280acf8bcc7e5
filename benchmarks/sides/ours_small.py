"""What :mod:`benchmarks.sides.ours_scale` measures, with few nodes: many are held against them."""

from __future__ import annotations

from benchmarks.sides import measure
from benchmarks.sides.ours_scale import cost, memory

if __name__ == "__main__":
    measure.main(
        {
            "scale-1000": lambda: cost(10),
            "scale-switches": lambda: cost(10, 10),
            "scale-memory": lambda: memory(100),
        }
    )
