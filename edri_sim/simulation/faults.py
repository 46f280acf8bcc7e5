"""Makes faults happen: to the links of a simulated network, and to its hosts."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from edri_sim import trace
from edri_sim.errors import DeclarationError
from edri_sim.faults import (
    AddedLatency,
    Bandwidth,
    ClockJump,
    ConnectionReset,
    Crash,
    Death,
    DiskFull,
    Fault,
    HostFault,
    Kill,
    LastingLinkFault,
    OneWay,
    Outage,
    Pause,
    SlowConsumer,
    SlowDisk,
    WorkerCrash,
)
from edri_sim.simulation.cables import CUT, Effect
from edri_sim.topology import pair_of

if TYPE_CHECKING:
    from edri_sim.simulation.cables import Link
    from edri_sim.simulation.handles import Timer
    from edri_sim.simulation.host import SimulatedHost
    from edri_sim.simulation.kernel import Kernel
    from edri_sim.simulation.network import Network
    from edri_sim.simulation.troubles import Troubles
    from edri_sim.trace import Trace

Act = Callable[[Any], None]

COMPONENT = "faults"
"""The name under which faults stand in the trace."""

_BY_HAND = "by hand"

_EFFECTS: dict[type[LastingLinkFault], Callable[[Any], Effect]] = {
    Outage: lambda _: CUT,
    OneWay: lambda _: CUT,
    AddedLatency: lambda fault: Effect(latency=fault.latency, jitter=fault.jitter),
    Bandwidth: lambda fault: Effect(rate=fault.rate),
}


class _Alarm:
    """The callback of the timer for what comes next.

    While a main coroutine runs, faults keep the run alive: it may wait for what only the end of one brings. Without
    one they do not, or a fault in a year would let a run go on until then.
    """

    def __init__(self, kernel: Kernel, act: Callable[[], None]) -> None:
        self._kernel = kernel
        self._act = act

    def __call__(self) -> None:
        self._act()

    def idle(self) -> bool:
        """Whether this timer keeps no run alive now."""
        return not self._kernel.has_main


class Faults:
    """Begins and ends faults when they are due, and writes a row for each to ``trace``."""

    def __init__(self, kernel: Kernel, network: Network, hosts: Mapping[str, SimulatedHost], trace: Trace) -> None:
        self._kernel = kernel
        self._network = network
        self._hosts = hosts
        self._trace = trace
        self._due: deque[tuple[float, Act, Fault]] = deque()
        self._alarm: Timer | None = None
        self._paused: dict[Fault, int] = {}
        self._cut: dict[str, str] = {}  # links that were cut by hand, and what the trace calls that
        self._acts: dict[type[Fault], tuple[Act, Act]] = {
            Outage: (self._impose, self._lift),
            OneWay: (self._impose, self._lift),
            AddedLatency: (self._impose, self._lift),
            Bandwidth: (self._impose, self._lift),
            ConnectionReset: (self._reset, _nothing),
            Kill: (self._kill, self._restart),
            Crash: (self._crash, self._restart),
            Pause: (self._pause, self._resume),
            WorkerCrash: (self._crash_worker, _nothing),
            SlowConsumer: (
                lambda fault: self._troubles(fault).slow(fault.delay),
                lambda fault: self._troubles(fault).slow(-fault.delay),
            ),
            SlowDisk: (
                lambda fault: self._troubles(fault).slow_disk(fault.delay),
                lambda fault: self._troubles(fault).slow_disk(-fault.delay),
            ),
            DiskFull: (
                lambda fault: self._troubles(fault).fill_disk(1),
                lambda fault: self._troubles(fault).fill_disk(-1),
            ),
            ClockJump: (lambda fault: self._hosts[fault.name].jump_clock(fault.seconds), _nothing),
        }

    def schedule(self, faults: Iterable[Fault], begin: float = 0.0) -> None:
        """Let faults happen, ``begin`` being when the run began, in simulated seconds.

        At one instant, ends come before beginnings, and then what was given first.
        """
        moments: list[tuple[float, bool, int, Act, Fault]] = []
        for number, fault in enumerate(faults):
            moments.append((begin + fault.at, True, number, self._begin, fault))
            if fault.until < math.inf:
                moments.append((begin + fault.until, fault.until == fault.at, number, self._end, fault))
        moments.sort(key=lambda moment: moment[:3])
        added = [(when, act, fault) for when, _, _, act, fault in moments]
        self._due = deque(sorted([*self._due, *added], key=lambda moment: moment[0]))
        self._wait()

    def cut(self, a: str, b: str) -> None:
        """Cut a link until it is healed. Raises DeclarationError if there is none."""
        link = self._link(a, b)
        if link.name not in self._cut:
            self._cut[link.name] = f"{Outage.kind} {a}-{b}"
            for direction in link.directions.values():
                direction.impose(_BY_HAND, CUT)
            self._mark(trace.FAULT_BEGINS, self._cut[link.name])

    def heal(self, a: str, b: str) -> None:
        """Heal a link that was cut by hand; declared faults go on. Raises DeclarationError if there is no link."""
        link = self._link(a, b)
        if link.name in self._cut:
            for direction in link.directions.values():
                direction.lift(_BY_HAND)
            self._mark(trace.FAULT_ENDS, self._cut.pop(link.name))

    def _wait(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._due:
            self._alarm = self._kernel.call_at(self._due[0][0], _Alarm(self._kernel, self._go_on))
            self._kernel.engine.put_asleep(self._alarm, for_good=False)

    def _go_on(self) -> None:
        self._alarm = None
        while self._due and self._due[0][0] <= self._kernel.now:
            _, act, fault = self._due.popleft()
            act(fault)
        self._wait()

    def _begin(self, fault: Fault) -> None:
        self._acts[type(fault)][0](fault)
        self._mark(trace.FAULT_BEGINS, str(fault))

    def _end(self, fault: Fault) -> None:
        self._acts[type(fault)][1](fault)
        self._mark(trace.FAULT_ENDS, str(fault))

    def _mark(self, stage: int, name: str) -> None:
        self._trace.mark(stage, self._trace.component(COMPONENT), name)

    # Links --------------------------------------------------------------------------------------------------------

    def _link(self, a: str, b: str) -> Link:
        link = self._network.links.get(pair_of(a, b))
        if link is None:
            links = ", ".join(each.name for each in self._network.links.values()) or "none"
            raise DeclarationError(f"there is no link between {a!r} and {b!r}; there are: {links}")
        return link

    def _impose(self, fault: LastingLinkFault) -> None:
        directions = self._link(fault.a, fault.b).directions
        for way in fault.ways:
            directions[way].impose(fault, _EFFECTS[type(fault)](fault))

    def _lift(self, fault: LastingLinkFault) -> None:
        directions = self._link(fault.a, fault.b).directions
        for way in fault.ways:
            directions[way].lift(fault)

    def _reset(self, fault: ConnectionReset) -> None:
        self._network.reset(self._link(fault.a, fault.b))

    # Hosts --------------------------------------------------------------------------------------------------------

    def _kill(self, fault: Kill) -> None:
        self._hosts[fault.name].kill()

    def _crash(self, fault: Crash) -> None:
        self._hosts[fault.name].crash()

    def _restart(self, fault: Death) -> None:
        self._hosts[fault.name].restart()

    def _pause(self, fault: Pause) -> None:
        host = self._hosts[fault.name]
        host.pause()
        self._paused[fault] = host.lives

    def _resume(self, fault: Pause) -> None:
        host, life = self._hosts[fault.name], self._paused.pop(fault)
        if host.up and host.lives == life:  # if it died meanwhile, a new life is not paused
            host.resume()

    def _troubles(self, fault: HostFault) -> Troubles:
        return self._hosts[fault.name].troubles

    def _crash_worker(self, fault: WorkerCrash) -> None:
        host = self._hosts[fault.name]
        slot = host.troubles.workers.get((fault.label, fault.index))
        if slot is not None and host.up:
            host.loop.call_soon(slot.crash)


def _nothing(_: object) -> None:
    """End a fault that was over when it had begun."""
