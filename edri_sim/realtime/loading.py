"""Finding a topology or a scenario by the name that a command line gives it: ``MODULE:NAME`` or ``FILE.py:NAME``."""

from __future__ import annotations

import difflib
import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from edri_sim.errors import SettingsError
from edri_sim.scenario import Scenario
from edri_sim.topology import Topology

T = TypeVar("T")


def load_topology(target: str) -> Topology:
    """The topology that ``target`` names; its module is imported, with the current folder on the import path.

    Raises SettingsError, which says what of ``target`` is wrong: its form, the module, the attribute or its type.
    """
    return _load(target, Topology, "shop.system:topology")


def load_scenario(target: str) -> Scenario:
    """The scenario that ``target`` names, as in :func:`load_topology`, or that a file ``*.toml`` describes.

    The folder of a file is on the import path. Raises SettingsError, and DeclarationError for what a file says.
    """
    if target.endswith(".toml"):
        _put_first(Path.cwd())
        _put_first(Path(target).resolve().parent)
        return Scenario.from_toml(target)
    return _load(target, Scenario, "shop.rush:scenario")


def _load(target: str, kind: type[T], example: str) -> T:
    where, _, attribute = target.rpartition(":")
    is_file = where.endswith(".py")
    if not attribute.isidentifier() or not (is_file or all(part.isidentifier() for part in where.split("."))):
        word = kind.__name__.upper()
        raise SettingsError(f"{target!r}: expected MODULE:{word} or FILE.py:{word}, such as {example}")
    module = _import_file(where) if is_file else _import_module(where)
    if not hasattr(module, attribute):
        raise SettingsError(f"{target}: module {module.__name__} has no {attribute!r}{_hint(module, attribute, kind)}")
    found = getattr(module, attribute)
    if not isinstance(found, kind):
        raise SettingsError(f"{target}: expected a {kind.__name__}, and this is of type {type(found).__name__}")
    return found


def _hint(module: ModuleType, attribute: str, kind: type[Any]) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, kind)]
    near = difflib.get_close_matches(attribute, names, n=1) or names[:1]
    return f": did you mean {near[0]!r}?" if near else f", nor any {kind.__name__.lower()}"


def _import_module(name: str) -> ModuleType:
    _put_first(Path.cwd())
    return _import(name, name)


def _import_file(text: str) -> ModuleType:
    """Import a file as the module that it is, so that the workers' processes can import it too."""
    path = Path(text).resolve()
    if not path.is_file():
        raise SettingsError(f"{text}: no such file")
    folder, parts = _place(path)
    _put_first(folder)
    name = ".".join(parts)
    module = _import(name, text)
    found = getattr(module, "__file__", None)
    if found is None or Path(found).resolve() != path:
        raise SettingsError(
            f"{text}: the name {name} belongs to another module, {found or 'a built-in one'}: rename it"
        )
    return module


def _place(path: Path) -> tuple[Path, list[str]]:
    """The folder from which a file is imported, and the names of its packages and its own."""
    folder, parts = path.parent, [path.stem]
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, parts


def root_of(target: str) -> Path:
    """The folder from which the module of ``target`` is imported; see :func:`load_topology`."""
    where = target.rpartition(":")[0]
    return _place(Path(where).resolve())[0] if where.endswith(".py") else Path.cwd()


def _put_first(folder: Path) -> None:
    if sys.path[:1] != [str(folder)]:
        sys.path.insert(0, str(folder))


def _import(name: str, given: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise SettingsError(f"{given}: there is no module {error.name!r}") from error
        raise _failed(given, error) from error
    except Exception as error:
        raise _failed(given, error) from error


def _failed(given: str, error: Exception) -> SettingsError:
    """What a module raised while it was imported, and where, in one line."""
    if isinstance(error, SyntaxError):
        return SettingsError(f"{given} can't be imported: {error.filename}:{error.lineno}: SyntaxError: {error.msg}")
    frame = traceback.extract_tb(error.__traceback__)[-1]
    first = str(error).partition("\n")[0]
    return SettingsError(f"{given} can't be imported: {frame.filename}:{frame.lineno}: {type(error).__name__}: {first}")
