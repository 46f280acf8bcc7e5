"""What the tests of links share: hosts on links, and a way to disturb them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edri_sim.simulation.cables import CUT, Direction, Effect
from edri_sim.simulation.kernel import Kernel
from edri_sim.simulation.network import WINDOW, Network
from edri_sim.topology import LinkSpec, pair_of
from tests.simulation.connections import Pair, Recorder

LATENCY = 0.01


class Cabled(Pair):
    """A connection from web to mail over links, all times counted from when it was made."""

    def __init__(self, kernel: Kernel, *specs: LinkSpec, seed: int = 0, window: int = WINDOW) -> None:
        self.network = Network(kernel, links=specs, seed=seed, window=window)
        ends = dict.fromkeys(["web", "mail", *(end for spec in specs for end in (spec.a, spec.b))])
        self.loops = {name: kernel.loop(name) for name in ends}
        super().__init__(kernel, self.loops["web"], self.loops["mail"])

    def direction(self, a: str, b: str) -> Direction:
        return self.network.links[pair_of(a, b)].directions[a, b]

    def disturb(self, way: tuple[str, str], begin: float, end: float, effect: Effect = CUT) -> None:
        """Let ``effect`` last on one direction of a link, from ``begin`` to ``end``."""
        key = object()
        self.at(begin, self.direction(*way).impose, key, effect)
        self.at(end, self.direction(*way).lift, key)

    def cut(self, a: str, b: str, begin: float, end: float) -> None:
        """Cut a link in both directions."""
        self.disturb((a, b), begin, end)
        self.disturb((b, a), begin, end)

    def write(self, delay: float, data: bytes, of: Recorder | None = None) -> None:
        """Let the client, or ``of``, write."""
        self.at(delay, (of or self.client).transport.write, data)

    def arrivals(self, of: Recorder) -> list[tuple[float, bytes]]:
        """What came, and when, once nothing is left to happen."""
        return [(when, what) for when, what in self.ran(of) if isinstance(what, bytes)]


@contextmanager
def cabled(*specs: LinkSpec, seed: int = 0, window: int = WINDOW, shuffle: bool = False) -> Iterator[Cabled]:
    """As :class:`Cabled`, on a kernel of its own; one plain link unless told."""
    kernel = Kernel(seed=seed, shuffle_ties=shuffle)
    try:
        yield Cabled(kernel, *(specs or [LinkSpec("web", "mail", LATENCY)]), seed=seed, window=window)
    finally:
        kernel.close()
