"""Things of Python by name, ``module:name``: how a file says which class or function is meant."""

from __future__ import annotations

import difflib
import sys
from importlib import import_module
from typing import Any

from edri_sim.errors import DeclarationError

FORM = "'module:name', such as 'shop.system:Web'"


def resolve(reference: str) -> Any:
    """The thing that ``module:name`` names; its module is imported.

    Raises:
        DeclarationError: it is malformed, its module cannot be imported, or has nothing of that name.
    """
    module_name, _, path = reference.partition(":")
    if not all(word.isidentifier() for word in (*module_name.split("."), *path.split("."))):
        raise DeclarationError(f"{reference!r}: expected {FORM}")
    found: Any = _module(reference, module_name)
    for word in path.split("."):
        if not hasattr(found, word):
            near = difflib.get_close_matches(word, dir(found), n=1)
            hint = f": did you mean {near[0]!r}?" if near else ""
            raise DeclarationError(f"{reference!r}: {found.__name__} has no {word!r}{hint}")
        found = getattr(found, word)
    return found


def _module(reference: str, name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise DeclarationError(f"{reference!r}: there is no module {error.name!r}") from error
        raise DeclarationError(f"{reference!r}: its module can't be imported: {error}") from error
    except Exception as error:
        words = f"{type(error).__name__}: {error}"
        raise DeclarationError(f"{reference!r}: its module can't be imported: {words}") from error


def reference_to(thing: Any) -> str:
    """``module:name`` of a class or function.

    Raises:
        DeclarationError: no module has it under its name, as with a lambda, or what was defined inside a function.
    """
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    found: Any = sys.modules.get(str(module))
    for word in str(name).split("."):
        found = getattr(found, word, None)
    if found is not thing or module == "__main__":
        raise DeclarationError(f"{thing!r} can't be written to a file: expected a class or function of a module's own")
    return f"{module}:{name}"
