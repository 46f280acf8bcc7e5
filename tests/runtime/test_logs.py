"""Log records say which node they come from and when it was there, and never what an event holds."""

from __future__ import annotations

import logging
from datetime import datetime

import pytest

from edri_sim import Manager, Node, Request, Simulation, event, handles
from edri_sim.errors import HandlerError
from edri_sim.simulation.simulate import EPOCH
from tests.worlds import World

SECRET = "not for the log"


@event(name="logs.Fragile")
class Fragile(Request[int]):
    text: str


class Breaks(Manager):
    async def start(self) -> None:
        self.log.warning("the manager starts")

    @handles
    async def break_(self, event: Fragile) -> int:
        raise ValueError("broken")


async def ask() -> None:
    async with Node("solo", Breaks) as node:
        with pytest.raises(HandlerError):
            await node.request(Fragile(SECRET), timeout=5)


def test_records_name_node_time_and_event(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="edri_sim"):
        world.run(ask)
    records = [record for record in caplog.records if record.name.startswith("edri_sim.")]
    assert {record.name for record in records} == {"edri_sim.node", "edri_sim.pool", "edri_sim.worker"}
    assert {record.node for record in records} == {"solo"}
    assert all(datetime.fromisoformat(record.at).tzinfo is not None for record in records)
    [failure] = [record for record in records if record.name == "edri_sim.pool"]
    assert failure.event_id.startswith("solo/")
    assert failure.event_type == "logs.Fragile"
    [greeting] = [record for record in records if record.name == "edri_sim.worker"]
    assert greeting.component == "solo/Breaks"
    assert SECRET not in caplog.text


def test_the_time_is_simulated_where_time_is(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="edri_sim"), Simulation() as simulation:
        simulation.run(until=3.5)
        simulation.run(ask())
    assert {record.at for record in caplog.records} == {EPOCH.replace(microsecond=500_000, second=3).isoformat()}
