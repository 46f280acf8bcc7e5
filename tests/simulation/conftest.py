"""A kernel for each test, closed at its end; and a network with two hosts on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edri_sim.simulation.kernel import Kernel
from edri_sim.simulation.loop import SimulationLoop
from edri_sim.simulation.network import Network
from tests.simulation.connections import LATENCY, Pair


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    yield kernel
    kernel.close()


@pytest.fixture
def loop(kernel: Kernel) -> SimulationLoop:
    return kernel.loop("web")


@pytest.fixture
def network(kernel: Kernel) -> Network:
    return Network(kernel, latency=LATENCY)


@pytest.fixture
def mail(kernel: Kernel, network: Network) -> SimulationLoop:
    return kernel.loop("mail")


@pytest.fixture
def pair(kernel: Kernel, loop: SimulationLoop, mail: SimulationLoop) -> Pair:
    return Pair(kernel, loop, mail)
