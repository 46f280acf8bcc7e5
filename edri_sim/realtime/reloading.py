"""A node in development: when a file of its system changes, its managers are made anew, and nothing waits in vain."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from contextlib import aclosing
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edri_sim.errors import EdriError, MissingExtra
from edri_sim.node import Node, PartFactory
from edri_sim.realtime.loading import load_topology, root_of
from edri_sim.realtime.modules import ReloadError, Sources
from edri_sim.topology import NodeSpec

SETTLES = 100
"""Milliseconds in which several changes count as one: an editor writes a file in several steps."""
TICK = 500
"""Milliseconds that it takes to begin to watch, and to see that it is over."""


def check_installed() -> None:
    """Raise MissingExtra where there is nothing to watch files with."""
    if find_spec("watchfiles") is None:
        raise MissingExtra("--reload", "reload")


class Reloader:
    """Keeps the managers of a running node in step with the files of ``target``, the topology that it is from."""

    def __init__(self, node: Node, target: str) -> None:
        self._node = node
        self._target = target
        self._log = node.log.of("reload")
        self._spec = load_topology(target).nodes[node.name]
        self._sources = Sources(root_of(target))

    async def watch(self) -> None:
        """Do so until cancelled; a reload that is under way then comes to its end all the same."""
        while True:
            await self._watch(list(dict.fromkeys(path.parent for path in self._sources.files)))

    async def _watch(self, folders: list[Path]) -> None:
        """Watch these folders until files are imported from others, too."""
        awatch: Callable[..., AsyncGenerator[Any, None]] = import_module("watchfiles").awatch
        options = {"recursive": False, "debounce": SETTLES, "rust_timeout": TICK, "yield_on_timeout": True}
        logging.getLogger("watchfiles").setLevel(logging.WARNING)  # It says of each change that there was one.
        loop = asyncio.get_running_loop()
        began = False
        async with aclosing(awatch(*folders, **options)) as watched:
            async for changes in watched:
                # At first, all of them: something may have changed before anybody watched.
                files = _paths(changes) if began else self._sources.files
                began = True
                if files:
                    await asyncio.shield(loop.create_task(self.reload(files)))
                if any(path.parent not in folders for path in self._sources.files):
                    return

    async def reload(self, files: Collection[Path]) -> None:
        """Put what these files say now in the place of what runs; where that fails, say why, and leave all as it is."""
        parts: list[tuple[int, PartFactory]] = []

        def accept(modules: list[str]) -> None:
            parts.extend(self._renewed(modules))

        try:
            modules = self._sources.run_again(files, self._node.types, accept)
        except (EdriError, SyntaxError) as error:
            self._keep(error)
            return
        except Exception as error:
            self._keep(error, _place(error))
            return
        for number, factory in parts:
            await self._renew(number, factory)
        if modules and not parts:
            self._log.info("%s: nothing of node %s has changed", ", ".join(modules), self._node.name)

    async def _renew(self, number: int, factory: PartFactory) -> None:
        try:
            await self._node.renew(number, factory)
        except Exception as error:
            self._keep(error)
        else:
            self._log.info("node %s: part %r is made anew", self._node.name, factory)

    def _keep(self, error: Exception, place: str = "") -> None:
        what = f"{type(error).__name__}: {error}" if not isinstance(error, EdriError) else str(error)
        self._log.error("node %s goes on as it was: %s%s", self._node.name, place, what)

    def _renewed(self, modules: list[str]) -> list[tuple[int, PartFactory]]:
        """The parts whose code is of one of these modules. Raises ReloadError for what takes a restart."""
        topology = load_topology(self._target)
        spec = topology.nodes.get(self._node.name)
        if spec is None or _frame(spec) != _frame(self._spec):
            raise ReloadError(f"the topology of node {self._node.name} has changed: restart it")
        self._spec = spec
        return [(number, factory) for number, factory in enumerate(spec.parts) if _home(factory) in modules]


def _frame(spec: NodeSpec) -> tuple[object, ...]:
    """What of a node cannot change while it runs."""
    return spec.name, len(spec.parts), spec.switches, spec.durable


def _home(factory: Any) -> str:
    """The module in which a part's class, or the function that makes it, is written."""
    return str(getattr(getattr(factory, "make", factory), "__module__", ""))


def _paths(changes: Iterable[tuple[object, str]]) -> list[Path]:
    return [Path(path).resolve() for _, path in changes]


def _place(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}:{frame.lineno}: "
