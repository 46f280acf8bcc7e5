"""This machine, as a host."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import secrets
import socket
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from edri_sim.errors import SettingsError
from edri_sim.managers.loop_slot import LoopSlot
from edri_sim.managers.slot import Slot, SlotOwner, WorkerPlan
from edri_sim.names import check_name
from edri_sim.realtime import memory, signals
from edri_sim.realtime.process_slot import ProcessSlot
from edri_sim.realtime.spawn import spawner
from edri_sim.realtime.storage import FileStorage
from edri_sim.realtime.thread_slot import ThreadSlot
from edri_sim.settings import Settings
from edri_sim.trace import Recorder, Trace
from edri_sim.wall_timer import WallTimer

JUMP_NOTICED = 60.0
"""Seconds at most until it is noticed that somebody has set the wall clock."""

SlotFactory = Callable[[WorkerPlan, SlotOwner, int], Slot]


def _method_slot(plan: WorkerPlan, owner: SlotOwner, index: int) -> Slot:
    return LoopSlot(plan, owner, index, spawner(asyncio.get_running_loop()), plan.settings.kill_after)


_SLOTS: dict[str, SlotFactory] = {"method": _method_slot, "thread": ThreadSlot}


class LocalExecutor:
    """Makes the slots of one mode."""

    def __init__(self, make: SlotFactory) -> None:
        self._make = make

    def slot(self, plan: WorkerPlan, owner: SlotOwner, index: int) -> Slot:
        """See :class:`~edri_sim.host.Spawner`."""
        return self._make(plan, owner, index)


class LocalHost:
    """The machine that this program runs on.

    ``seed`` fixes the streams of :meth:`random`; without one they are different at every start. ``data`` is the folder
    of its storage, by default that of the setting ``data``. Several hosts may share a ``recorder``, and have each a
    ``name`` of its own in it.
    """

    def __init__(
        self, settings: Settings | None = None, *, seed: object = None, data: Path | None = None,
        recorder: Recorder | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        chosen = settings or Settings()
        self.name = name or socket.gethostname()
        self.workers: dict[tuple[str, int], ProcessSlot] = {}
        """The last process worker of each pool and index."""
        self._seed = secrets.token_hex(16) if seed is None else seed
        self._data = Path(chosen.data) if data is None and chosen.data else data
        self.recorder = Recorder(cap=chosen.trace_cap) if recorder is None else recorder
        self.trace = Trace(chosen.trace, self.name, time.monotonic_ns, recorder=self.recorder)

    def now(self) -> datetime:
        """See :class:`~edri_sim.host.Host`; in the local time zone."""
        return datetime.now().astimezone()

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Callable[[], None]:
        """See :class:`~edri_sim.host.Host`; no system tells of a jump, so the clock is looked at every minute."""
        return WallTimer(self.now, when, callback, JUMP_NOTICED).cancel

    def random(self, name: str) -> random.Random:
        """See :class:`~edri_sim.host.Host`."""
        return random.Random(f"{self._seed}/{name}")

    def is_private(self, address: str) -> bool:
        """See :class:`~edri_sim.host.Host`; of names, only ``localhost`` is known to be so."""
        if address == "localhost":
            return True
        try:
            return ipaddress.ip_address(address).is_loopback
        except ValueError:
            return False

    def secret(self) -> bytes:
        """See :class:`~edri_sim.host.Host`."""
        return secrets.token_bytes(16)

    def memory(self) -> int:
        """See :class:`~edri_sim.host.Host`."""
        return memory.resident()

    def executor(self, mode: str) -> LocalExecutor:
        """See :class:`~edri_sim.host.Host`."""
        return LocalExecutor(self._process_slot if mode == "process" else _SLOTS[mode])

    def _process_slot(self, plan: WorkerPlan, owner: SlotOwner, index: int) -> Slot:
        slot = self.workers[plan.label, index] = ProcessSlot(plan, owner, index)
        return slot

    def storage(self, name: str) -> FileStorage:
        """See :class:`~edri_sim.host.Host`; the file ``<name>.sqlite`` in the data folder."""
        check_name("storage", name)
        if self._data is None:
            raise SettingsError(f"setting data='': expected a folder for storage {name!r}: set data= or EDRI_DATA")
        return FileStorage(self._data / f"{name}.sqlite")

    def on_terminate(self, stop: Callable[[], None]) -> Callable[[], None]:
        """See :class:`~edri_sim.host.Host`.

        Does nothing off the main thread, in a notebook, and where the program has a handler for SIGTERM of its own.
        """
        return signals.on_terminate(stop)
