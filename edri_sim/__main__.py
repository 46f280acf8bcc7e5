"""``python -m edri_sim`` is ``edri-sim``."""

from __future__ import annotations

from edri_sim.cli import main

main()
