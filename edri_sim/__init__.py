"""edri-sim: event-driven systems that run unchanged in real time and in simulated time.

Every public name lives here. Each is loaded on first use, so that ``import edri_sim`` costs nothing and a worker
process loads only what it needs.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING

from edri_sim import host

__version__ = "0.1.0"

if TYPE_CHECKING:
    from edri_sim import errors as errors
    from edri_sim import faults as faults
    from edri_sim import load as load
    from edri_sim import scheduling as scheduling
    from edri_sim import service as service
    from edri_sim import storing as storing
    from edri_sim import supervision as supervision
    from edri_sim.errors import EdriError as EdriError
    from edri_sim.events import Notification as Notification
    from edri_sim.events import Request as Request
    from edri_sim.events import Tunnel as Tunnel
    from edri_sim.events import event as event
    from edri_sim.host import Host as Host
    from edri_sim.links.reports import FlowGap as FlowGap
    from edri_sim.links.switch import Switch as Switch
    from edri_sim.managers.blocking import BlockingTunnel as BlockingTunnel
    from edri_sim.managers.blocking import sleep as sleep
    from edri_sim.managers.manager import Manager as Manager
    from edri_sim.managers.observing import observes as observes
    from edri_sim.managers.pool import Pool as Pool
    from edri_sim.managers.worker import Worker as Worker
    from edri_sim.managers.worker import handles as handles
    from edri_sim.node import Node as Node
    from edri_sim.node import part as part
    from edri_sim.realtime.launch import serve as serve
    from edri_sim.realtime.scenarios import run_real as run_real
    from edri_sim.routing.deadletter import DeadLetter as DeadLetter
    from edri_sim.routing.tunnel import TunnelEnd as TunnelEnd
    from edri_sim.run import Run as Run
    from edri_sim.scenario import Scenario as Scenario
    from edri_sim.scheduling.scheduler import Scheduler as Scheduler
    from edri_sim.settings import Settings as Settings
    from edri_sim.simulation.scenarios import simulate as simulate
    from edri_sim.simulation.simulate import Simulation as Simulation
    from edri_sim.storing.store import Store as Store
    from edri_sim.topology import Topology as Topology

_HOME = {
    "BlockingTunnel": "edri_sim.managers.blocking",
    "DeadLetter": "edri_sim.routing.deadletter",
    "EdriError": "edri_sim.errors",
    "FlowGap": "edri_sim.links.reports",
    "Host": "edri_sim.host",
    "Manager": "edri_sim.managers.manager",
    "Node": "edri_sim.node",
    "Notification": "edri_sim.events",
    "Pool": "edri_sim.managers.pool",
    "Request": "edri_sim.events",
    "Run": "edri_sim.run",
    "Scenario": "edri_sim.scenario",
    "Scheduler": "edri_sim.scheduling.scheduler",
    "Settings": "edri_sim.settings",
    "Simulation": "edri_sim.simulation.simulate",
    "Store": "edri_sim.storing.store",
    "Switch": "edri_sim.links.switch",
    "Topology": "edri_sim.topology",
    "Tunnel": "edri_sim.events",
    "TunnelEnd": "edri_sim.routing.tunnel",
    "Worker": "edri_sim.managers.worker",
    "event": "edri_sim.events",
    "handles": "edri_sim.managers.worker",
    "observes": "edri_sim.managers.observing",
    "part": "edri_sim.node",
    "run_real": "edri_sim.realtime.scenarios",
    "serve": "edri_sim.realtime.launch",
    "simulate": "edri_sim.simulation.scenarios",
    "sleep": "edri_sim.managers.blocking",
}

_MODULES = ("errors", "faults", "load", "scheduling", "service", "storing", "supervision")

__all__ = [*_HOME, *_MODULES]  # one table says where each name lives, and it is the list too


def __getattr__(name: str) -> object:
    """Load a public name from its module, and keep it, so that this runs once for each name."""
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _local_host(settings: Settings) -> Host:
    from edri_sim.realtime.host import LocalHost

    return LocalHost(settings)


# A library says nothing unless the program asks for its logs.
logging.getLogger(__name__).addHandler(logging.NullHandler())

# The one place that knows both sides: components ask for "the host I run on", and never import real time themselves.
host.set_default_host(_local_host)
