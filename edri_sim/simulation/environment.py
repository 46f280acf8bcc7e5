"""The SimPy environment of a simulation: users' processes, resources and events live on it, and the kernel steps it."""

from __future__ import annotations

from typing import Any, NoReturn

import simpy
from simpy.core import BoundClass

from edri_sim.errors import SimulationError


class Environment(simpy.Environment):
    """A :class:`simpy.Environment` whose time is moved by the kernel alone.

    ``process``, ``timeout``, ``event``, resources and stores work as SimPy documents them; times are seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        # SimPy binds these to the instance for speed, but not for a subclass's instance.
        for name, factory in vars(simpy.Environment).items():
            if isinstance(factory, BoundClass):
                setattr(self, name, getattr(self, name))

    def step(self) -> NoReturn:
        """Raise SimulationError: a second stepper would pull timers from under the event loops."""
        raise SimulationError("env.step() is not available: the kernel steps; call step() of the simulation")

    def run(self, until: Any = None) -> NoReturn:
        """Raise SimulationError: a second stepper would pull timers from under the event loops."""
        raise SimulationError("env.run() is not available: the kernel steps; call run(until=...) of the simulation")


def fire(event: simpy.Event) -> None:
    """Process one SimPy event, as :meth:`simpy.Environment.step` does.

    Raises the exception of a failed event that no callback has defused: the original, where SimPy raises a copy.
    """
    callbacks = event.callbacks
    event.callbacks = None  # type: ignore[assignment]  # SimPy's own mark of a processed event
    for callback in callbacks:
        callback(event)
    if not event._ok and not event.defused:
        raise event._value
