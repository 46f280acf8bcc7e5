"""Fixtures to declare events from source text, as a file or a notebook cell would."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator

import pytest

from edri_sim.events import registry

PRELUDE = """
from __future__ import annotations
import dataclasses, datetime, enum, io, threading
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from typing import Any, ClassVar, Generic, IO, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar
import msgspec
from edri_sim.events import Notification, Request, Tunnel, event
T = TypeVar("T")

@dataclass(frozen=True)
class Thumbnail:
    path: str

@dataclass(frozen=True)
class Hidden:
    deep: list[Callable[[], int]]
"""

Declare = Callable[..., types.ModuleType]


@pytest.fixture
def fresh_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test declares into an empty registry, so that its names clash with nobody's."""
    monkeypatch.setattr(registry, "_by_name", {})


@pytest.fixture
def declare() -> Iterator[Declare]:
    """Run source text as a module, as a notebook cell or a file would be."""
    made: list[str] = []

    def run(source: str, module: str = "declared") -> types.ModuleType:
        if module not in made:
            made.append(module)
            sys.modules[module] = types.ModuleType(module)
            exec(PRELUDE, vars(sys.modules[module]))
        exec("from __future__ import annotations\n" + source, vars(sys.modules[module]))
        return sys.modules[module]

    yield run
    for name in made:
        del sys.modules[name]
