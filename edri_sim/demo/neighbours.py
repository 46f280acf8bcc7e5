"""The other programs of the machine, as a SimPy process that takes turns at the simulated cores."""

from __future__ import annotations

import math
from collections.abc import Generator

import simpy

from edri_sim.host import RandomStream
from edri_sim.simulation.compute import Processor
from edri_sim.simulation.host import SimulatedHost

Steps = Generator[simpy.Event, None, None]


def add_neighbours(host: SimulatedHost, cores: float, turn: float) -> None:
    """Keep ``cores`` of the host's cores busy, in the mean, from now on, in turns of ``turn`` seconds.

    They begin at random, exponentially distributed intervals, as those of many programs that know nothing of each
    other.
    """
    if cores <= 0:
        return
    processor = host.processor
    processor.env.process(_arrivals(processor, turn, turn / cores, host.random("neighbours")))


def _arrivals(processor: Processor, turn: float, mean_gap: float, stream: RandomStream) -> Steps:
    while True:
        yield processor.env.timeout(-mean_gap * math.log(1.0 - stream.random()))
        processor.env.process(_turn(processor, turn))


def _turn(processor: Processor, turn: float) -> Steps:
    with processor.cores.request() as core:
        yield core
        yield processor.env.timeout(turn)
