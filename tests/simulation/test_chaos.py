"""Random links, effects, pauses and writes: a connection is a stream of bytes, whatever happens below it."""

from __future__ import annotations

import random

import pytest

from edri_sim.simulation.cables import CUT, Effect
from edri_sim.simulation.kernel import Kernel
from edri_sim.simulation.network import WINDOW
from edri_sim.topology import LinkSpec
from tests.simulation.connections import Recorder
from tests.simulation.physical import Cabled


class Chaos:
    """A connection over one or two random links, random effects on them, and random writes at both ends."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        specs = [self.spec("web", "hub"), self.spec("hub", "mail")][self.draw.randrange(2) :]
        if len(specs) == 1:
            specs = [self.spec("web", "mail")]
        self.kernel = Kernel(seed=seed, shuffle_ties=self.draw.random() < 0.3)
        self.net = Cabled(self.kernel, *specs, seed=seed, window=self.draw.choice([500, 5_000, WINDOW]))
        self.ends = [self.net.client, self.net.server]
        self.sent = {end: bytearray() for end in self.ends}

    def spec(self, a: str, b: str) -> LinkSpec:
        choice = self.draw.choice
        return LinkSpec(
            a, b, choice([0, 0.001, 0.05, 0.3]), choice([0, 0, 0.02, 0.5]), choice([None, None, 1e4, 1e6]),
            choice([None, 100, 3_000, 100_000]),
        )  # fmt: skip

    def disturb(self) -> None:
        draw = self.draw
        effects = [CUT, CUT, Effect(latency=0.5), Effect(jitter=0.3), Effect(rate=1e3), Effect(rate=1e5)]
        ways = [way for link in self.net.network.links.values() for way in link.directions]
        for _ in range(draw.randrange(1, 6)):
            way, begin, effect = draw.choice(ways), draw.uniform(0, 20), draw.choice(effects)
            end = begin + draw.choice([0.01, 0.1, 1, 10, 60])
            for each in (way, way[::-1])[: draw.randrange(1, 3)]:
                self.net.disturb(each, begin, end, effect)
        host = self.net.loops[draw.choice(["web", "mail"])]
        begin = draw.uniform(0, 20)
        self.net.at(begin, host.pause)
        self.net.at(begin + draw.choice([0.1, 5]), host.resume)

    def write(self) -> None:
        for end in self.ends:
            for _ in range(self.draw.randrange(15)):
                data = self.draw.randbytes(self.draw.choice([1, 10, 1_000, 50_000]))
                self.net.at(self.draw.uniform(0, 20), self.put, end, data)
            self.net.at(100, end.transport.write_eof)

    def put(self, end: Recorder, data: bytes) -> None:
        self.sent[end] += data
        end.transport.write(data)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_to_its_links_a_connection_loses_doubles_and_reorders_nothing(seed: int) -> None:
    chaos = Chaos(seed)
    chaos.disturb()
    chaos.write()
    chaos.kernel.run()
    for end, other in zip(chaos.ends, reversed(chaos.ends), strict=True):
        assert b"".join(what for _, what in end.log if isinstance(what, bytes)) == chaos.sent[other]
        assert [what for _, what in end.log if isinstance(what, str) and "e" in what[:1]] == ["eof"]
        line = end.transport.outbound
        assert (line.room, len(line.held), len(line.flights)) == (chaos.net.network.window, 0, 0)
    chaos.kernel.close()
