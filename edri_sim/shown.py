"""How an object shows itself in a notebook: in words, and with the extra ``lab`` in pictures and tables."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Shown:
    """The base of what a notebook shows richly; the words are its ``repr``, and stay where the extra is missing."""

    __slots__ = ()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        words = {"text/plain": repr(self)}
        try:
            html = import_module("edri_sim.viz.cells").html
        except ImportError:
            return words
        return {**words, "text/html": html(self)}
