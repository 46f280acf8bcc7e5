"""The show itself: the photo service for real, and then the same topology in simulated time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edri_sim.demo.drive import Answers, Load, drive
from edri_sim.demo.machine import Machine, time_slice
from edri_sim.demo.neighbours import add_neighbours
from edri_sim.demo.photos import NODE, topology
from edri_sim.demo.recording import Recording
from edri_sim.node import Node
from edri_sim.run import Run
from edri_sim.simulation.simulate import Simulation
from edri_sim.topology import Topology


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two parts: its trace, what its clients got, and the wall seconds that it took."""

    run: Run
    answers: Answers
    wall: float


class Show:
    """One topology, one load, two loops. ``advance`` is called for each photo that is done, in either part."""

    def __init__(
        self, load: Load, machine: Machine, *, workers: int, seed: int, advance: Callable[[], None]
    ) -> None:  # fmt: skip
        self.load = load
        self.machine = machine
        self.workers = workers
        self.seed = seed
        self.topology: Topology = topology(workers=workers, cores=machine.cores, cpu=machine.cpu, advance=advance)

    async def real(self) -> tuple[Side, Recording]:
        """Run the service on this machine, with processes and threads. Raises what the node's start raises."""
        spec = self.topology.nodes[NODE]
        machine = self.machine
        async with Node(spec.name, *spec.parts, trace="full") as node:
            before = machine.wall(), machine.cpu(), machine.busy()
            answers = await drive(node, self.load)
            after = machine.wall(), machine.cpu(), machine.busy()
        wall, cpu, busy = (late - early for early, late in zip(before, after, strict=True))
        recording = Recording.of(answers, loop=cpu, busy=busy, wall=wall, cores=machine.cores)
        return Side(Run(node.trace.recorder, simulated=False), answers, wall), recording

    def simulated(self, recording: Recording) -> Side:
        """Run the service in simulated time, with service times, replies and other programs as in ``recording``."""
        begin = self.machine.wall()
        with Simulation(self.topology, seed=self.seed, service=recording.services()) as simulation:
            add_neighbours(simulation.node(NODE).host, recording.others or 0.0, time_slice(self.machine.cores))
            answers = simulation.run(drive(simulation.node(NODE), self.load))
            run = simulation.result()
        assert answers is not None  # There is no `until` at which it could have stopped early.
        return Side(run, answers, self.machine.wall() - begin)
