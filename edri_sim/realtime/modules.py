"""The modules of a user's system, run again from their files while those that were run before are still in use.

A module is run in a new namespace, so that handlers that are at work go on in the old one. A class of events that a
running node knows stays the one that it was, with the classes that it uses: events on their way are of it.
"""

from __future__ import annotations

import importlib.util
import linecache
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from edri_sim.errors import EdriError
from edri_sim.realtime.definitions import Source, changed
from edri_sim.registry import TypeTable

_FOREIGN = ("site-packages", "dist-packages")


class ReloadError(EdriError):
    """What was edited cannot take the place of what runs; the message says why, and what would be right."""


def own_modules(root: Path) -> dict[str, Path]:
    """The modules whose files are in a folder, or below it, and that nobody has installed there."""
    found = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and file.endswith(".py") and name != "__main__":
            path = Path(file).resolve()
            if path.is_relative_to(root) and not any(part in _FOREIGN for part in path.parts):
                found[name] = path
    return found


class Sources:
    """The sources of a system's modules as they were when they were last run; ``root`` is the folder of all of them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._sources: dict[str, Source] = {}
        self.learn()

    def learn(self) -> None:
        """Read those that have been imported since."""
        for name, path in own_modules(self._root).items():
            if name not in self._sources:
                self._sources[name] = _read(path)

    @property
    def files(self) -> list[Path]:
        """The files of all modules."""
        return list(own_modules(self._root).values())

    def run_again(self, files: Collection[Path], types: TypeTable, accept: Callable[[list[str]], None]) -> list[str]:
        """Run the modules of these files, and those that import from them; their names in the order of running.

        ``accept`` is called once they have run, and what it raises undoes it all. Raises ReloadError, for an event
        that has changed, too, and what running them raises: nothing has changed then.
        """
        paths = own_modules(self._root)
        touched = [name for name, path in paths.items() if path in files and self._edited(name, path)]
        order = self._dependents(touched)
        sources = {name: _read(paths[name]) for name in order}
        kept = self._kept(order, sources, types)
        with _undone_on_error(order):
            for name in order:
                _run(name, sources[name], kept[name])
            accept(order)
        self._sources.update(sources)
        self.learn()
        return order

    def _edited(self, name: str, path: Path) -> bool:
        """Whether a file says something else than it did: editors write files that they have not changed."""
        former = self._sources.get(name)
        return former is None or former.meaning != _read(path).meaning

    def _dependents(self, touched: list[str]) -> list[str]:
        """These modules and all that import from them, each after those that it imports from."""
        imports = {name: self._imports(name) for name in self._sources}
        order: dict[str, None] = {}
        found = dict.fromkeys(touched)
        while more := [name for name in imports if name not in found and any(one in found for one in imports[name])]:
            found.update(dict.fromkeys(more))

        def visit(name: str, above: tuple[str, ...]) -> None:
            for needed in imports.get(name, ()):
                if needed in found and needed not in above:
                    visit(needed, (*above, name))
            order[name] = None

        for name in found:
            visit(name, (name,))
        return list(order)

    def _imports(self, name: str) -> list[str]:
        """The modules of the system that one imports from."""
        taken = [*self._sources[name].imports(_package(name))]
        candidates = [one for module, attribute, _ in taken for one in (module, f"{module}.{attribute}")]
        return [one for one in dict.fromkeys(candidates) if one in self._sources and one != name]

    def _kept(self, order: list[str], sources: dict[str, Source], types: TypeTable) -> dict[str, list[str]]:
        """The classes of each module that stay what they are. Raises ReloadError where they must, and cannot."""
        altered: dict[str, dict[str, None]] = {}
        kept: dict[str, list[str]] = {}
        for name in order:
            new = sources[name]
            altered[name] = changed(self._sources.get(name, new), new, _taken(name, new, altered))
            events = {cls.__qualname__: entry for cls, entry in types.by_class.items() if cls.__module__ == name}
            staying = [one for one in new.classes() if one not in altered[name]]
            for event, entry in events.items():
                if event not in staying:
                    raise ReloadError(
                        f"the event {entry.name} has changed ({new.path}): a running node keeps the events that it"
                        " started with: restart it"
                    )
            reached = new.reached(events)
            kept[name] = [one for one in staying if one in reached]
        return kept


def _taken(name: str, source: Source, altered: Mapping[str, Collection[str]]) -> list[str]:
    """The names under which a module has what has changed in others."""
    return [
        called
        for module, attribute, called in source.imports(_package(name))
        if (attribute in altered.get(module, ()) if attribute else altered.get(module))
    ]


def _read(path: Path) -> Source:
    return Source(path.read_text(encoding="utf-8"), str(path))


def _package(name: str) -> str:
    return getattr(sys.modules.get(name), "__package__", None) or ""


def _run(name: str, source: Source, kept: Collection[str]) -> None:
    """Run a module in a new namespace, in which some classes are there already."""
    old = sys.modules[name]
    assert old.__spec__ is not None
    module = importlib.util.module_from_spec(old.__spec__)
    vars(module).update({one: vars(old)[one] for one in kept})
    for other in [other for other in sys.modules if other.rpartition(".")[0] == name]:
        setattr(module, other.rpartition(".")[2], sys.modules[other])
    linecache.checkcache(source.path)
    _put(name, module)
    exec(compile(source.without(kept), source.path, "exec", dont_inherit=True), vars(module))


def _put(name: str, module: ModuleType) -> None:
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], child, module)


@contextmanager
def _undone_on_error(names: Collection[str]) -> Iterator[None]:
    """Put the modules that were there back when something goes wrong."""
    before = {name: sys.modules[name] for name in names}
    try:
        yield
    except BaseException:
        for name, module in before.items():
            _put(name, module)
        raise
