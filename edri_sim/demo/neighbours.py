"""The other programs of the machine, as a SimPy process that takes turns at the simulated cores."""

from __future__ import annotations

import math
from collections.abc import Generator

import simpy

from edri_sim.host import RandomStream
from edri_sim.simulation.host import SimulatedHost

SLICE = 0.004
"""Seconds for which another program has a core: about the turn that Linux gives a program among a few."""

Steps = Generator[simpy.Event, None, None]


def add_neighbours(host: SimulatedHost, cores: float) -> None:
    """Keep ``cores`` of the host's cores busy, in the mean, from now on.

    Turns begin at random, exponentially distributed intervals, as those of many programs that know nothing of each
    other.
    """
    if cores <= 0:
        return
    resource = host.processor.cores
    env = host.processor.env
    env.process(_arrivals(env, resource, SLICE / cores, host.random("neighbours")))


def _arrivals(env: simpy.Environment, cores: simpy.Resource, mean_gap: float, stream: RandomStream) -> Steps:
    while True:
        yield env.timeout(-mean_gap * math.log(1.0 - stream.random()))
        env.process(_turn(env, cores))


def _turn(env: simpy.Environment, cores: simpy.Resource) -> Steps:
    with cores.request() as core:
        yield core
        yield env.timeout(SLICE)
