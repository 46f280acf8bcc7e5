"""Switches and nodes as child processes: started together, stopped in order, and never left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from edri_sim.realtime.child import Child, ChildPlan
from edri_sim.realtime.signals import on_ending

SLOW = 10.0
"""Seconds after which it is said who is not ready yet."""
DIED = 1
"""The exit code when a child ended that nobody had asked to."""

Say = Callable[[str, str], None]
"""Told of every line: whose it is, "" for our own, and the line."""


class Fleet:
    """Runs ``switches`` and ``nodes`` until a signal comes, or one of them ends. Use it on the main thread.

    ``patience`` is how many seconds they get to end when they are asked to; ``keep_going`` lets the others go on when
    one has ended by itself. An OSError of ``say``, as where nobody reads any more, ends the run too.
    """

    def __init__(
        self, switches: Sequence[ChildPlan], nodes: Sequence[ChildPlan], say: Say, *, patience: float,
        keep_going: bool = False,
    ) -> None:  # fmt: skip
        self._switches = [Child(plan, self) for plan in switches]
        self._nodes = [Child(plan, self) for plan in nodes]
        self._say = say
        self._patience = patience
        self._keep_going = keep_going
        self._began = 0.0
        self._started = False
        self._announced = False
        self._stopping = False
        self._over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._changed = asyncio.Event()

    @property
    def _children(self) -> list[Child]:
        return [*self._switches, *self._nodes]

    async def run(self) -> int:
        """Run them all; returns the exit code. Raises OSError where no process can be started."""
        undo = on_ending(self._told)
        slow = asyncio.get_running_loop().call_later(SLOW, self._name_the_slow)
        self._began = time.monotonic()
        try:
            # The switches first, so that no node finds nobody there.
            for group in (self._switches, self._nodes):
                await self._start(group)
            self._started = True
            self._look()
            return await self._over
        finally:
            slow.cancel()
            self._stopping = True
            # The nodes first: what they still hold for one another goes through the switches.
            for group in (self._nodes, self._switches):
                await self._stop([child for child in group if child.runs])
            undo()

    async def _start(self, group: list[Child]) -> None:
        """Start these, and return when each of them is ready or has ended, or everything is to end."""
        for child in group:
            if not self._over.done():
                await child.start()
        while not self._over.done() and any(child.runs and not child.ready for child in group):
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _finish(self, code: int) -> None:
        if not self._over.done():
            self._over.set_result(code)
            self._changed.set()

    def _told(self, code: int) -> None:
        """A signal came: stop everything in order, and at the second one at once."""
        if not self._stopping and not self._over.done():
            self._finish(code)
            return
        for child in self._children:
            child.kill()

    async def _stop(self, children: list[Child]) -> None:
        for child in children:
            child.terminate()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await self._ended(children)
        for child in children:
            if child.runs:
                self._print("", f"{child.name} did not stop within {self._patience:g} s, and is killed")
                child.kill()
        await self._ended(children)

    async def _ended(self, children: list[Child]) -> None:
        while any(child.runs for child in children):
            await self._change()

    # What the children do; see ChildOwner

    def said(self, child: Child, line: str) -> None:
        """See :class:`~edri_sim.realtime.child.ChildOwner`."""
        self._print(child.name, line)

    def is_ready(self, child: Child) -> None:  # noqa: ARG002 - the owner's interface
        """See :class:`~edri_sim.realtime.child.ChildOwner`."""
        self._changed.set()
        self._look()

    def has_ended(self, child: Child) -> None:
        """See :class:`~edri_sim.realtime.child.ChildOwner`."""
        self._changed.set()
        if self._stopping:
            return
        self._print("", f"{child.name} {child.end}")
        if not self._keep_going:
            self._finish(DIED)
        self._look()

    def _look(self) -> None:
        """Say once that all are ready, those that ended left aside; give up when all have."""
        if not self._started or self._over.done():
            return
        running = [child for child in self._children if child.runs]
        if not running:
            self._finish(DIED)
        elif not self._announced and all(child.ready for child in running):
            self._announced = True
            seconds = time.monotonic() - self._began
            nodes, switches = (sum(child.runs for child in group) for group in (self._nodes, self._switches))
            self._print("", f"ready: {_count(nodes, 'node')} and {_count(switches, 'switch')}, after {seconds:.2f} s")

    def _name_the_slow(self) -> None:
        slow = [child.name for child in self._children if child.runs and not child.ready]
        if slow:
            self._print("", f"not ready after {SLOW:g} s: {', '.join(slow)}")

    def _print(self, name: str, line: str) -> None:
        try:
            self._say(name, line)
        except OSError:
            self._finish(DIED)


def _count(number: int, what: str) -> str:
    plural = f"{what}es" if what.endswith("ch") else f"{what}s"
    return f"{number} {what if number == 1 else plural}"
